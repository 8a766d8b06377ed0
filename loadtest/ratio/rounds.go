//go:build unix

package main

import (
	"context"
	"fmt"
)

// side is one of the servers that are loaded in turn.
type side struct {
	name string

	// turn loads the server for a while and returns a figure, such as a rate.
	turn func(ctx context.Context) (float64, error)
}

// takeTurns loads each side once a round, in changing order. It returns the figures of
// each side by round. One extra round at the start warms up and is not returned.
func takeTurns(ctx context.Context, rounds int, sides ...side) ([][]float64, error) {
	found := make([][]float64, len(sides))
	for round := range rounds + 1 {
		for i := range sides {
			j := (round + i) % len(sides)
			f, err := sides[j].turn(ctx)
			if err == nil {
				err = ctx.Err() // an interrupted turn has no valid figure
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
