package fold

import (
	"context"
	"fmt"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// mergeDays returns a store.ClickMerge that adds up days. Days before coarseBefore, which the
// sweep may have passed, get hours instead of quarter-hours.
func mergeDays(coarseBefore int32) store.ClickMerge {
	return func(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
		days, err := day.Fold(ctx, added, stored)
		if err != nil {
			return nil, err
		}
		for i := range days {
			if days[i].Day < coarseBefore {
				if days[i].Data, err = coarsen(days[i]); err != nil {
					return nil, err
				}
			}
		}
		return days, nil
	}
}

// coarsen is a store.ClickRetention.Coarsen. It keeps the hours of a day.
func coarsen(d store.ClickDay) ([]byte, error) {
	parsed, err := day.Parse(d.Data)
	if err != nil {
		return nil, fmt.Errorf("clicks of kind %d of key %q on day %d: %w", d.Kind, d.Key, d.Day, err)
	}
	parsed.ToHours()
	return parsed.Append(nil), nil
}
