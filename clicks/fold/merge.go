package fold

import (
	"context"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// mergeDays returns a store.ClickMerge that adds up days. It stores days before coarseBefore by hours,
// because the sweep may have passed them already.
func mergeDays(coarseBefore int32) store.ClickMerge {
	return func(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
		days, err := day.Fold(ctx, added, stored)
		if err != nil {
			return nil, err
		}
		for i := range days {
			if days[i].Day < coarseBefore {
				if days[i].Data, err = day.Hours(days[i]); err != nil {
					return nil, err
				}
			}
		}
		return days, nil
	}
}
