package store_test

import "strings"

// hostileGroup is a set of targets that are refused for the same reason.
type hostileGroup struct {
	name   string
	reason string
	raw    []string
}

// hostileTargets lists texts that must not become targets, for a service on sho.rt.
func hostileTargets() []hostileGroup {
	return []hostileGroup{
		{"empty", "must not be empty", []string{"", " ", "   "}},
		{"scheme", "must begin with http:// or https://", []string{
			"example.com", "www.example.com/path", "/path", "?query", "#fragment",
			"javascript:alert(1)", "JaVaScRiPt:alert(1)", "javascript://example.com/%0aalert(1)",
			"data:text/html,<script>alert(1)</script>", "vbscript:msgbox(1)", "file:///etc/passwd",
			"mailto:a@b.c", "tel:+123", "ftp://example.com/", "ws://example.com/", "wss://example.com/",
			"blob:http://example.com/1", "view-source:http://example.com/", "about:blank", "intent://x#Intent;end",
			"filesystem:http://example.com/t/x", "jar:http://example.com/!/", "feed:http://example.com/",
			"http", "http:", "https:", "httpss://example.com", "xhttp://example.com", "http ://example.com",
			"\u00A0http://example.com", "\uFEFFhttp://example.com", "\u0085http://example.com",
			"\u00ADhttp://example.com", "\u200Bhttp://example.com", "ｈttp://example.com", "http：//example.com",
			"http:\u00AD//example.com", "hſtp://example.com", "httpſ://example.com", "%68ttp://example.com",
			"<http://example.com>", "\"http://example.com\"", "url=http://example.com",
		}},
		{"repaired by browsers", "must begin with http:// or https://", []string{
			"//evil.com", "https:evil.com", "http:evil.com", "http:/evil.com", "https:/evil.com/", `http:\\evil.com`,
			`http:/\evil.com`, `http:\/evil.com`, `\\evil.com`, `/\evil.com`, "http:?x", "http:#x", "http:.",
		}},
		{"no host", "must name a host", []string{
			"http://", "https://", "HTTPS://", "http:///evil.com", "http:////evil.com", "https:///", "http://?x",
			"http://#x", "http://:80", "http://:80/path", "http://:/", "http:// ",
		}},
		{"backslash", `/ instead of \`, []string{
			`http://\evil.com`, `http://evil.com\@good.com`, `http://good.com\.evil.com`, `http://good.com\`,
			`http://good.com/a\b`, `http://good.com/..\..\x`, `http://good.com:80\@evil.com`, `http://a\#b`, `http:///\evil.com`,
		}},
		{"userinfo", "user name or password", []string{
			"https://good.com@evil.com", "https://u:p@x", "http://@evil.com", "http://:@evil.com", "http://u:@evil.com",
			"http://good.com:@evil", "http://good.com:80@evil.com", "http://a@b@c", "http://good.com%20@evil.com",
			"http://good.com%2F@evil.com", "http://u@[::1]", "http://@", "http://u@", "http://good.com;@evil.com",
		}},
		{"control bytes", "control characters", []string{
			"http://example.com/\r\nSet-Cookie: a=b", "http://example.com/\n", "\nhttp://example.com", "http://example.com/\t",
			"\thttp://example.com", "ht\ntp://example.com", "java\tscript:alert(1)", "http://exa\tmple.com", "http://example.com/\x00",
			"\x00http://example.com", "http://example.com/?q=\x1b[31m", "http://example.com/#\x7f", "http://example.com/\v\f",
			"http://u\n@example.com", "/\t/evil.example/", "http:/\t/example.com", "http://\x7f", "http://example.com\r",
		}},
		{"encoding", "must be valid UTF-8", []string{
			"http://example.com/\xff", "http://\xc0\xaf", "http://example.com/\xed\xa0\x80", "\x80http://example.com",
			"http://example.com/?\xc3", "http://example.com/#\xf4\x90\x80\x80", "http://b\xfccher.example/",
		}},
		{"host", "must name a valid host", []string{
			"http://ex ample.com", "http:// example.com", "http://example.com /", "http://ex%20ample.com", "http://%00", "http://a%00b",
			"http://a%2fb", "http://a%2Fb", "http://a%5cb", "http://a%40b", "http://a%3Ab", "http://a%3fb", "http://a%23b", "http://a%25b",
			"http://%", "http://%zz", "http://a%2", "http://%C3", "http://%FF.com", "http://a%0d%0ab", "http://%7F",
			"http://a<b", "http://a>b", "http://a|b", "http://a^b", "http://a]b", "http://a[b]", "http://]", "http://a:b:80", "http://::1",
			"http://good.com／evil.com", "http://good.com＼evil.com", "http://good.com＃evil.com", "http://good.com？evil.com",
			"http://good＠evil.com", "http://good.com：80", "http://℀.com", "http://℆.com", "http://％41.com", "http://a\u0085b", "http://\u3000",
			"http://.", "http://..", "http://...", "http://。", "http://%2E", "http://\u00AD", "http://\u00AD.", "http://\u200D", "http://a\u200Db",
			"http://xn--", "http://xn--.com", "http://%2Exn--.com", "http://a.XN--.com", "http://xn--a", "http://xn--abc-", "http://xn--a-0", "http://xn--\u00FC", "http://xn--fa-hia%00.de",
			"http://\uFFFD", "http://a\u202Eb.com", "http://\u2066a.com", "http://a\uFFFEb", "http://\u0301a.com", "http://1א.com",
			"http://\U000E0001", "http://a\uE000",
			"http://" + strings.Repeat("a.", 512) + "b", "http://" + strings.Repeat("日", 1024/3+1),
		}},
		{"empty part of a host", "must name a valid host", []string{
			"http://a..b", "http://.a", "http://a.b..", "http://a。。b", "http://a%2E%2Eb", "http://\u00AD.a",
		}},
		{"host too long for DNS", "must name a host", []string{
			"http://" + strings.Repeat("a", 64) + ".b", "http://b." + strings.Repeat("a", 64), "http://" + strings.Repeat("a.", 126) + "bc",
			"http://" + strings.Repeat("%61", 64) + ".b", "http://" + strings.Repeat("é", 60) + ".b", "http://" + strings.Repeat("é.", 60) + "b",
		}},
		{"IPv4", "must name a valid IPv4 address", []string{
			"http://1.2.3.4.5", "http://256.1.1.1", "http://1.1.1.256", "http://1.2.3.4.5.", "http://1.2.3.4.0", "http://0.0.0.0.0.0", "http://4294967296", "http://0x100000000",
			"http://1.16777216", "http://1.2.65536", "http://09", "http://08.1.1.1", "http://1.2.3.08", "http://1..2", "http://.1",
			"http://a.1", "http://example.0x1", "http://example.0x", "http://a.09", "http://99999999999999999999", "http://0xfffffffffffffffff",
			"http://１.２.３.４.５", "http://1.2.3.%34%35%36", "http://-1.1", "http://1e3.1", "http://0b1.1",
		}},
		{"IPv6", "must name a valid IPv6 address", []string{
			"http://[", "http://[]", "http://[::1", "http://[::1:", "http://[1::2:80", "http://[::1/", "http://[[::1]]", "http://[::1]]", "http://[:::1]", "http://[1::2::3]",
			"http://[1:2:3:4:5:6:7]", "http://[1:2:3:4:5:6:7:8:9]", "http://[12345::]", "http://[g::]", "http://[::1%25eth0]", "http://[fe80::1%eth0]",
			"http://[::1.2.3]", "http://[::1.2.3.4.]", "http://[::256.1.1.1]", "http://[::01.2.3.4]", "http://[1.2.3.4]", "http://[v1.x]",
			"http://[example.com]", "http://[::%31]", "http://[::１]", "http://[::1]x", "http://[::1]x:80",
		}},
		{"port", "must have a port from 0 to 65535", []string{
			"http://a:99999", "http://a:65536", "http://a:-1", "http://a:+80", "http://a:8a", "http://a: 80", "http://a:0x50",
			"http://a:８０", "http://a:%38%30", "http://a:18446744073709551617", "http://[::1]:x", "http://a:80;", "http://a:1_0",
		}},
		{"ambiguous", "all clients understand alike", []string{
			"http://-1", "http://+1", "http://0x-1", "http://%2B1", "http://－１/", "http://a.-1",
		}},
		{"our own host", "must not lead to this URL shortener", []string{
			"http://sho.rt", "https://sho.rt/abc", "HTTPS://SHO.RT/", "https://sho.rt./", "https://sho.rt../", "https://sho.rt:443/", "http://sho.rt:80",
			"http://sho.rt:8443/", "http://sho.rt:", "http://sho.rt:00080/", "http://sho%2ert", "http://%73%68%6f.rt", "http://ｓｈｏ.ｒｔ", "http://sho。rt",
			"http://sho．rt", "http://s\u00ADho.rt", "http://%C2%ADsho.rt", "http://ⓢⓗⓞ.ⓡⓣ", "http://\u017Fho.rt", "http://sh\u2060o.rt", "http://sho.rt?x",
			"http://sho.rt#x", "  http://sho.rt  ", "http://sho.r\u200Bt",
		}},
	}
}

// plainTargets lists targets that are stored byte for byte.
func plainTargets() []string {
	return []string{
		"http://a", "https://example.com", "https://example.com/", "HTTP://Example.COM/Path", "hTTpS://example.com", "http://example.com.",
		"http://example.com:80/", "https://example.com:443", "http://example.com:", "http://example.com:0080/", "http://example.com:0/", "http://a:65535",
		"http://example.com/a/./b/../c", "http://example.com/%2e%2E/x", "http://example.com//a///b", "http://example.com/%zz%", "http://example.com/%c3%a9",
		"http://example.com?", "http://example.com/?", "http://example.com/#", "http://example.com?#", "http://example.com?q", "http://example.com#f",
		"http://example.com/?b=2&a=1&b=&&", "http://example.com/?a=%zz+%20", "http://example.com/??a=b?c", "http://example.com/?next=http://u:p@evil.com/",
		`http://example.com/?q=\`, `http://example.com/#\`, "http://example.com/?q=`{}^|[]", "http://example.com/#{}^|[]'##", "http://good.com#@evil.com",
		"http://good.com?@evil.com", "http://good.com/@evil.com", "http://good.com/http://evil.com", "http://example.com/a:80", "http://example.com/[x]|'!$&()*+,;=~",
		"http://sho.rt.example.com", "http://xsho.rt", "http://x.sho.rt", "http://short", "http://example.com/sho.rt", "http://foo_bar.example.com", "http://-a-.com",
		"http://r3---sn-apo3qvuoxuxbt-j5pe.example.com", "http://xn--bcher-kva.example", "http://XN--BCHER-KVA.example", "http://b%C3%BCcher.example/",
		"http://foo_bar.xn--bcher-kva.example/", "http://127.0.0.1:8080/", "http://0x7f.1/", "http://017700000001", "http://2130706433", "http://1.2.3.4./",
		"http://[::1]/", "http://[::1]:8080", "http://[2001:DB8:0::1]/", "http://[::ffff:1.2.3.4]", "http://localhost:3000/", "http://1.a",
		"http://example.com/%3Cscript%3E", "http://a%2Eb", "http://0xg", "http://" + strings.Repeat("a.", 125) + "abc.", "http://" + strings.Repeat("a", 63) + ".b", "http://a!b$c&d'e(f)*g+h,i;j=k~l",
	}
}

type rewriting struct{ raw, want string }

// rewrittenTargets lists targets that browsers rewrite to printable ASCII.
func rewrittenTargets() []rewriting {
	return []rewriting{
		{"  http://example.com/  ", "http://example.com/"},
		{"http://bücher.example", "http://xn--bcher-kva.example"},
		{"HTTP://BÜCHER.Example:080/A", "HTTP://xn--bcher-kva.example:080/A"},
		{"http://foo_bar.bücher.example/", "http://foo_bar.xn--bcher-kva.example/"},
		{"http://faß.de", "http://xn--fa-hia.de"},
		{"http://☃.net/☃", "http://xn--n3h.net/%E2%98%83"},
		{"http://日本。jp/", "http://xn--wgv71a.jp/"},
		{"http://bücher.example./", "http://xn--bcher-kva.example./"},
		{"http://ｅxample.com", "http://example.com"},
		{"http://exam\u00ADple.com", "http://example.com"},
		{"http://１２７.0.0.1:8080/", "http://127.0.0.1:8080/"},
		{"http://0x7f。1", "http://127.0.0.1"},
		{"http://example.com/a b", "http://example.com/a%20b"},
		{"http://example.com/é?é#é", "http://example.com/%C3%A9?%C3%A9#%C3%A9"},
		{"http://example.com/\"<>^`{}|'[]", "http://example.com/%22%3C%3E%5E%60%7B%7D|'[]"},
		{"http://example.com?\"<>^`{}|'[]", "http://example.com?%22%3C%3E^`{}|%27[]"},
		{"http://example.com#\"<>^`{}|'[]#?", "http://example.com#%22%3C%3E^%60{}|'[]#?"},
		{"http://example.com/?a= b#c d", "http://example.com/?a=%20b#c%20d"},
		{"http://example.com/<script>", "http://example.com/%3Cscript%3E"},
		{"http://example.com/?\" onmouseover=", "http://example.com/?%22%20onmouseover="},
		{"http://example.com/\u0085\u2028\u202E\uFEFF\uFFFD", "http://example.com/%C2%85%E2%80%A8%E2%80%AE%EF%BB%BF%EF%BF%BD"},
		{"http://example.com/%zz%é", "http://example.com/%zz%%C3%A9"},
		{"http://example.com/\U0001F30A#\uFE0F\u20E3", "http://example.com/%F0%9F%8C%8A#%EF%B8%8F%E2%83%A3"},
	}
}
