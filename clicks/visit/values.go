package visit

import "github.com/terse/terse/clicks/day"

// Values returns the facts of a visit by dimension, as days of clicks count them.
func (v *Visit) Values() (values [day.Dimensions]string) {
	values[day.Class] = v.Class
	values[day.Country] = v.Country
	values[day.Referrer] = v.Referrer
	values[day.Device] = v.Device
	values[day.Browser] = v.Browser
	values[day.OS] = v.OS
	values[day.Language] = v.Language
	values[day.UTMSource] = v.UTM.Source
	values[day.UTMMedium] = v.UTM.Medium
	values[day.UTMCampaign] = v.UTM.Campaign
	values[day.UTMTerm] = v.UTM.Term
	values[day.UTMContent] = v.UTM.Content
	values[day.Source] = v.Source
	values[day.Rule] = v.Rule
	return values
}
