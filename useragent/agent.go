package useragent

import "strings"

// Agent is what a User-Agent says about its sender. Device, Browser and OS are empty if they are
// unknown, and always for robots and tools, which often copy a browser's User-Agent.
type Agent struct {
	Class   Class  // Person, Preview, Crawler, Tool or Scanner
	Device  string // "desktop", "mobile", "tablet", "tv", "console" or empty
	Browser string // such as "Firefox", or the app around the page, such as "Instagram"
	OS      string // such as "Android"
}

// named is a name and a text that a User-Agent with this name contains.
type named struct{ text, name string }

// browsers are in the order of search. Apps come first, because their User-Agents also have the name
// of a browser. Chrome comes late, because most browsers also name it.
var browsers = []named{
	// Pages inside apps.
	{"Instagram", "Instagram"},
	{"Barcelona ", "Threads"},
	{"FBAN/Messenger", "Messenger"},
	{"FB_IAB/MESSENGER", "Messenger"},
	{"FB_IAB/Orca", "Messenger"},
	{"Orca-Android", "Messenger"},
	{"FBAN/", "Facebook"},
	{"FBAV/", "Facebook"},
	{"FB_IAB/", "Facebook"},
	{"LinkedInApp", "LinkedIn"},
	{"Snapchat", "Snapchat"},
	{"musical_ly", "TikTok"},
	{"trill_", "TikTok"},
	{"TikTok", "TikTok"},
	{"BytedanceWebview", "TikTok"},
	{"ByteLocale", "TikTok"},
	{"MicroMessenger", "WeChat"},
	{" QQ/", "QQ"},
	{"Weibo", "Weibo"},
	{"AlipayClient", "Alipay"},
	{"baiduboxapp", "Baidu"},
	{" Line/", "LINE"},
	{"KAKAOTALK", "KakaoTalk"},
	{"NAVER(", "Naver"},
	{"Zalo", "Zalo"},
	{"Pinterest", "Pinterest"},
	{"Twitter for", "X"},
	{"TwitterAndroid", "X"},
	{"Reddit/", "Reddit"},
	{"Teams/", "Microsoft Teams"},
	{"Slack/", "Slack"},
	{"Slack_", "Slack"},
	{"Telegram", "Telegram"},
	{"WhatsApp", "WhatsApp"},
	{"Viber", "Viber"},
	{"Discord", "Discord"},
	{"VKAndroidApp", "VK"},
	{"VK_", "VK"},
	{"Outlook-", "Outlook"},
	{"Microsoft Outlook", "Outlook"},
	{"Thunderbird", "Thunderbird"},
	{"GSA/", "Google app"},
	{"BingSapphire", "Bing app"},
	{"BingWeb", "Bing app"},
	{"Flipboard", "Flipboard"},
	{"Spotify/", "Spotify"},

	// Browsers.
	{"DuckDuckGo/", "DuckDuckGo"},
	{" Ddg/", "DuckDuckGo"},
	{"EdgiOS", "Edge"},
	{"EdgA/", "Edge"},
	{"Edg/", "Edge"},
	{"Edge/", "Edge"},
	{"Opera Mini", "Opera Mini"},
	{"OPR/", "Opera"},
	{"OPT/", "Opera"},
	{"OPX/", "Opera"},
	{"OPiOS", "Opera"},
	{"Opera", "Opera"},
	{"Vivaldi", "Vivaldi"},
	{"YaBrowser", "Yandex Browser"},
	{"YaApp_", "Yandex Browser"},
	{"YaSearch", "Yandex Browser"},
	{"SamsungBrowser", "Samsung Internet"},
	{"HuaweiBrowser", "Huawei Browser"},
	{"MiuiBrowser", "Mi Browser"},
	{"HeyTapBrowser", "HeyTap Browser"},
	{"VivoBrowser", "Vivo Browser"},
	{"UCBrowser", "UC Browser"},
	{"UCWEB", "UC Browser"},
	{"QQBrowser", "QQ Browser"},
	{"Whale/", "Whale"},
	{"Silk/", "Silk"},
	{"Brave", "Brave"},
	{"Ecosia", "Ecosia"},
	{"Avast/", "Avast"},
	{"AVG/", "AVG"},
	{"CCleaner/", "CCleaner"},
	{"Puffin/", "Puffin"},
	{"Coc_Coc", "Coc Coc"},
	{"coc_coc", "Coc Coc"},
	{"Focus/", "Firefox Focus"},
	{"Klar/", "Firefox Focus"},
	{"SeaMonkey", "SeaMonkey"},
	{"PaleMoon", "Pale Moon"},
	{"Waterfox", "Waterfox"},
	{"FxiOS", "Firefox"},
	{"Firefox", "Firefox"},
	{"Fennec", "Firefox"},
	{"CriOS", "Chrome"},
	{"IEMobile", "Internet Explorer"},
	{"MSIE ", "Internet Explorer"},
	{"Trident/", "Internet Explorer"},
	{"Electron/", "Electron"},
	{"Konqueror", "Konqueror"},
	{"; wv)", "Android WebView"},
	{"Chromium", "Chrome"},
	{"Chrome/", "Chrome"},
	{"PlayStation", "PlayStation"},
	{"Nintendo", "Nintendo"},
}

// Browsers without a text of their own, see webKit.
const (
	androidBrowser = "Android Browser" // before Chrome
	safari         = "Safari"
	appleWebView   = "Apple WebView" // a page inside an app without a name
)

// systems are in the order of search.
var systems = []named{
	{"Windows Phone", "Windows Phone"},
	{"Xbox", "Xbox"},
	{"Windows", "Windows"},
	{"Win64", "Windows"},
	{"PlayStation", "PlayStation"},
	{"Nintendo", "Nintendo"},
	{"iPhone", "iOS"},
	{"iPad", "iOS"},
	{"iPod", "iOS"},
	{"HarmonyOS", "HarmonyOS"},
	{"OpenHarmony", "HarmonyOS"},
	{"KAIOS", "KaiOS"},
	{"Tizen", "Tizen"},
	{"Web0S", "webOS"},
	{"webOS", "webOS"},
	{"Android", "Android"},
	{"CrOS", "ChromeOS"},
	{"Macintosh", "macOS"},
	{"Mac OS X", "macOS"},
	{"BB10", "BlackBerry"},
	{"BlackBerry", "BlackBerry"},
	{"FreeBSD", "FreeBSD"},
	{"OpenBSD", "OpenBSD"},
	{"NetBSD", "NetBSD"},
	{"Linux", "Linux"},
	{"X11", "Linux"},
}

// The devices. The first text that a User-Agent contains decides.
const (
	desktop = "desktop"
	mobile  = "mobile"
	tablet  = "tablet"
)

var devices = []named{
	{"PlayStation", "console"},
	{"Xbox", "console"},
	{"Nintendo", "console"},
	{"SmartTV", "tv"},
	{"SMART-TV", "tv"},
	{"Smart TV", "tv"},
	{"Smart-TV", "tv"},
	{"Web0S", "tv"},
	{"AppleTV", "tv"},
	{"GoogleTV", "tv"},
	{"Google TV", "tv"},
	{"Android TV", "tv"},
	{"HbbTV", "tv"},
	{"BRAVIA", "tv"},
	{"VIZIO", "tv"},
	{"Roku", "tv"},
	{"CrKey", "tv"},
	{"; AFT", "tv"}, // Fire TV
	{"iPad", tablet},
	{"PlayBook", tablet},
	{"Kindle", tablet},
	{"; KF", tablet}, // Fire tablets
	{"Tablet;", tablet},
	{"Tablet)", tablet},
	{"Mobi", mobile},
	{"iPhone", mobile},
	{"iPod", mobile},
	{"Windows Phone", mobile},
	{"Opera Mini", mobile},
	{"BlackBerry", mobile},
	{"KAIOS", mobile},
	{"MIDP", mobile},
	{"Symbian", mobile},
	{"Android", tablet}, // phones say Mobile
	{"HarmonyOS", tablet},
	{"OpenHarmony", tablet},
}

// search returns the name of the first text that a User-Agent contains, or an empty name.
func search(ua string, all []named) string {
	for i := range all {
		if strings.Contains(ua, all[i].text) {
			return all[i].name
		}
	}
	return ""
}

// describe returns the device, the browser and the operating system of a person's User-Agent.
func describe(ua string) Agent {
	a := Agent{Device: search(ua, devices), Browser: search(ua, browsers), OS: search(ua, systems)}
	if a.OS == "macOS" && strings.Contains(ua, "Mobile/") { // an iPad that requests pages for desktops
		a.OS, a.Device = "iOS", tablet
	}
	if a.Device == "" && a.OS != "" {
		a.Device = desktop
	}
	if a.Browser == "" {
		a.Browser = webKit(ua, a.OS)
	}
	return a
}

// webKit returns the browser of a User-Agent that names no browser but Safari.
func webKit(ua, system string) string {
	switch {
	case system == "Android":
		return androidBrowser
	case strings.Contains(ua, "Safari/"):
		return safari
	case strings.Contains(ua, "AppleWebKit/") && (system == "iOS" || system == "macOS"):
		return appleWebView
	}
	return ""
}

// numbers are the numbers of names in the cache. 0 is the empty name.
type numbers struct {
	names []string
	of    map[string]uint64
}

func newNumbers(others []string, all []named) *numbers {
	n := &numbers{names: []string{""}, of: map[string]uint64{"": 0}}
	add := func(name string) {
		if _, known := n.of[name]; !known {
			n.of[name] = uint64(len(n.names))
			n.names = append(n.names, name)
		}
	}
	for _, name := range others {
		add(name)
	}
	for _, one := range all {
		add(one.name)
	}
	return n
}

// coder writes an Agent into agentBits bits and reads it.
type coder struct{ devices, browsers, systems *numbers }

func newCoder() coder {
	return coder{
		devices:  newNumbers([]string{desktop}, devices),
		browsers: newNumbers([]string{androidBrowser, safari, appleWebView}, browsers),
		systems:  newNumbers(nil, systems),
	}
}

// The lowest bits of a cached value have the class plus 1, the device, the operating system and
// the browser.
const (
	classBits   = 3
	deviceBits  = 3
	systemBits  = 5
	browserBits = 7
	agentBits   = classBits + deviceBits + systemBits + browserBits
)

func (c *coder) encode(a Agent) uint64 {
	v := c.browsers.of[a.Browser]
	v = v<<systemBits | c.systems.of[a.OS]
	v = v<<deviceBits | c.devices.of[a.Device]
	return v<<classBits | uint64(a.Class+1)
}

func (c *coder) decode(v uint64) Agent {
	a := Agent{Class: Class(v&(1<<classBits-1) - 1)}
	v >>= classBits
	a.Device = c.devices.names[v&(1<<deviceBits-1)]
	v >>= deviceBits
	a.OS = c.systems.names[v&(1<<systemBits-1)]
	v >>= systemBits
	a.Browser = c.browsers.names[v&(1<<browserBits-1)]
	return a
}

// Browsers returns the names that Agent.Browser may have.
func Browsers() []string { return newCoder().browsers.names[1:] }
