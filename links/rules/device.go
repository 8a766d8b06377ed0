package rules

import (
	"strings"

	"github.com/terse/terse/useragent"
)

// devices is a set of devices. A visit has one system and one form, or is of a bot. 0 is an unknown
// device.
type devices uint16

const (
	ios devices = 1 << iota
	ipados
	android
	windows
	macos
	linux
	chromeos
	mobile
	desktop
	bot
	otherSystem // no value of a condition
)

// deviceNames are the values of the member device.
var deviceNames = map[string]devices{
	"ios": ios, "ipados": ipados, "android": android, "windows": windows, "macos": macos, "linux": linux,
	"chromeos": chromeos, "mobile": mobile, "desktop": desktop, "bot": bot,
}

// devicesOf returns the device of a User-Agent.
func devicesOf(a useragent.Agent) devices {
	if a.Class.IsRobot() {
		return bot
	}
	if a.OS == "" && a.Device == "" {
		return 0
	}
	return systemOf(a) | formOf(a)
}

func systemOf(a useragent.Agent) devices {
	switch a.OS {
	case "iOS":
		if a.Device == "tablet" {
			return ipados
		}
		return ios
	case "Android":
		return android
	case "Windows":
		return windows
	case "macOS":
		return macos
	case "Linux":
		return linux
	case "ChromeOS":
		return chromeos
	}
	return otherSystem
}

func formOf(a useragent.Agent) devices {
	switch a.Device {
	case "mobile", "tablet":
		return mobile
	case "desktop":
		return desktop
	}
	return 0
}

// browserNumbers are the numbers of browsers by their names in lower case.
var browserNumbers = func() map[string]int {
	numbers := map[string]int{}
	for i, name := range useragent.Browsers() {
		numbers[strings.ToLower(name)] = i
	}
	return numbers
}()

// numberOfBrowser are the numbers of browsers by their names in useragent.Agent.
var numberOfBrowser = func() map[string]int {
	numbers := map[string]int{}
	for i, name := range useragent.Browsers() {
		numbers[name] = i
	}
	return numbers
}()

// browserSet is a set of numbers of browsers.
type browserSet [2]uint64

func (s *browserSet) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s *browserSet) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }
