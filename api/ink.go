package api

import (
	"encoding/hex"
	"math"
	"strings"

	"github.com/terse/terse/store"
)

// ink is a color of a QR code: # and six hexadecimal digits in lower case.
type ink string

// inks are the colors of a QR code.
type inks struct{ color, background ink }

// plainInks are the default colors.
var plainInks = inks{"#000000", "#ffffff"}

// leastContrast is the least contrast between the colors of a QR code (WCAG 2.2, contrast ratio). Cameras
// read codes with less contrast only in good light.
const leastContrast = 3

// newInks returns the colors that two texts name. An empty text is the default color. The error names
// each parameter that is no color. It also refuses modules that are lighter than the background, because
// many readers do not find such a code.
func newInks(color, background string) (inks, error) {
	dark, wrongColor := parseInk("color", color, plainInks.color)
	light, wrongBackground := parseInk("background", background, plainInks.background)
	if err := store.JoinInvalid(wrongColor, wrongBackground); err != nil {
		return inks{}, err
	}
	if (light.luminance()+0.05)/(dark.luminance()+0.05) < leastContrast {
		return inks{}, &store.FieldError{Field: "color", Reason: "must be much darker than the background, with a contrast of at least 3 to 1"}
	}
	return inks{dark, light}, nil
}

func parseInk(field, text string, normal ink) (ink, error) {
	digits := strings.ToLower(strings.TrimPrefix(text, "#"))
	if text == "" {
		return normal, nil
	}
	if _, err := hex.DecodeString(digits); err != nil || len(digits) != 6 {
		return "", &store.FieldError{Field: field, Reason: "must be a color with six hexadecimal digits, such as 1a2b3c"}
	}
	return ink("#" + digits), nil
}

// rgb returns the bytes of red, green and blue.
func (i ink) rgb() []byte {
	b, _ := hex.DecodeString(string(i[1:])) // parseInk has checked it
	return b
}

// luminance returns the relative luminance, from 0 for black to 1 for white (WCAG 2.2).
func (i ink) luminance() float64 {
	sum := 0.0
	for n, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(i.rgb()[n]) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
