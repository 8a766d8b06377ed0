package day

import "slices"

// Dimension is a property of a click, such as its country. The numbers are part of the packed
// format: never change or reuse a number, and add new dimensions at the end.
type Dimension uint8

// The dimensions.
const (
	Class       Dimension = iota // what made the request: Person, or a kind of robot
	Country                      // ISO 3166 code of two letters
	Referrer                     // site or app that the visitor came from; unknown means direct
	Device                       // form of the device
	Browser                      // family of the browser
	OS                           // family of the operating system
	Language                     // first accepted language
	UTMSource                    // utm_source
	UTMMedium                    // utm_medium
	UTMCampaign                  // utm_campaign
	UTMTerm                      // utm_term
	UTMContent                   // utm_content
	Source                       // how the link was opened: a link or a QR code
	Rule                         // rule of the link that chose the target

	Dimensions = 14 // number of dimensions
)

var dimensionNames = [Dimensions]string{
	"class", "country", "referrer", "device", "browser", "os", "language",
	"utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "source", "rule",
}

// String returns the name of d in the API.
func (d Dimension) String() string { return dimensionNames[d] }

// ParseDimension returns the dimension with a name, and false for an unknown name.
func ParseDimension(name string) (Dimension, bool) {
	i := slices.Index(dimensionNames[:], name)
	return Dimension(max(i, 0)), i >= 0 //nolint:gosec // below Dimensions
}

// DimensionNames returns the names of all dimensions in the order of their numbers.
func DimensionNames() []string { return slices.Clone(dimensionNames[:]) }
