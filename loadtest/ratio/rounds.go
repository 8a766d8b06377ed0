//go:build unix

package main

import (
	"context"
	"fmt"
)

// side is one of those that take turns under load.
type side struct {
	name string

	// turn loads it for a while and returns the figure to compare, such as a rate.
	turn func(ctx context.Context) (float64, error)
}

// takeTurns loads each side once a round, in changing order, and returns the
// figures of each by round. A round before the first warms all up and is left
// out.
func takeTurns(ctx context.Context, rounds int, sides ...side) ([][]float64, error) {
	found := make([][]float64, len(sides))
	for round := range rounds + 1 {
		for i := range sides {
			j := (round + i) % len(sides)
			f, err := sides[j].turn(ctx)
			if err == nil {
				err = ctx.Err() // a turn that was cut short measures nothing
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", sides[j].name, err)
			}
			if round > 0 {
				found[j] = append(found[j], f)
			}
		}
	}
	return found, nil
}
