# Varnish in front of Terse: redirects are answered from here for as long as their
# CDN-Cache-Control (RFC 9213) allows, and until Terse purges the tag of their link.
#
# Needs Varnish 7 with the vmods var and xkey (Debian: varnish and varnish-modules). Terse runs
# with TERSE_CDN=varnish, with every Varnish in TERSE_VARNISH_URLS, with a secret in
# TERSE_VARNISH_SECRET, and with the addresses of all of them in TERSE_TRUSTED_PROXIES.
# Edit the lines marked CHANGE. clicks.format is the format of a log of clicks for varnishncsa.
vcl 4.1;

import std;
import var;
import xkey;

backend terse {
    .host = "127.0.0.1";    # CHANGE: where Terse, or its load balancer, listens
    .port = "8080";         # CHANGE
    .connect_timeout = 1s;
    .first_byte_timeout = 15s;
    .between_bytes_timeout = 5s;
}

acl purgers {
    "127.0.0.1";            # CHANGE: the Terse nodes
    "::1";
}

# After a failure of Terse, expired redirects are served at once, and one redirect every
# two seconds is fetched in the background until Terse answers. So only the first visitor
# waits for a Terse that hangs. "failing" is the end of this state, later than a fetch can
# take; each failure moves it. "asked" is the time of the next fetch.
sub failed {
    var.global_set("failing", now + 10s);
    var.global_set("asked", now + 2s);
}

# Links may have rules on the device, the language and the country of a visitor. The next three
# subroutines set a header for each of them. Terse answers with "Vary" on the headers that the
# rules ask about, so that Varnish keeps one answer for each value. Each header has few values.
# A header is set only if Terse finds the same in the request. Without it, Varnish keeps no answer.
#
# A new text for browsers must allow no words of the visitor's choice: a word such as "bot" makes
# a robot of a browser for Terse. A new text for robots must be in crawlers.jsonl of Terse.
sub set_device {
    unset req.http.Terse-Device;
    if (req.http.User-Agent ~ "^Mozilla/5\.0 \([^()]{9,50}\) (AppleWebKit/[0-9.]{1,9} \(KHTML, like Gecko\)|Gecko/[0-9.]{1,9})( (Chrome|Version|Safari|Firefox|Edg|OPR|Vivaldi|YaBrowser)/[0-9.]{1,16}){1,5}$") {
        if (req.http.User-Agent ~ "^.{13}Windows NT [0-9.]{1,5}(; Win64; x64|; WOW64)?(; rv:[0-9.]{1,6})?\)") {
            set req.http.Terse-Device = "windows";
        } elsif (req.http.User-Agent ~ "^.{13}Macintosh; Intel Mac OS X [0-9_.]{1,9}(; rv:[0-9.]{1,6})?\)") {
            set req.http.Terse-Device = "macos";
        } elsif (req.http.User-Agent ~ "^.{13}X11; (Ubuntu; |Fedora; )?Linux (x86_64|i686|aarch64)(; rv:[0-9.]{1,6})?\)") {
            set req.http.Terse-Device = "linux";
        } elsif (req.http.User-Agent ~ "^.{13}X11; CrOS (x86_64|aarch64|armv7l) [0-9.]{1,12}\)") {
            set req.http.Terse-Device = "chromeos";
        }
    }
    if (req.http.User-Agent ~ "^Mozilla/5\.0 \([^()]{9,50}\) (AppleWebKit/[0-9.]{1,9} \(KHTML, like Gecko\)|Gecko/[0-9.]{1,9})( (Chrome|Version|Safari|Firefox|CriOS|FxiOS|EdgiOS|EdgA|OPR|OPT|GSA|SamsungBrowser|DuckDuckGo|Ddg|YaBrowser)/[0-9.]{1,16}| Mobile(/[0-9]{2}[A-Z][0-9]{1,4}[a-z]?)?){1,6}$") {
        if (req.http.User-Agent ~ "^.{13}iPhone; CPU iPhone OS [0-9_]{1,9} like Mac OS X\)") {
            set req.http.Terse-Device = "ios";
        } elsif (req.http.User-Agent ~ "^.{13}iPad; CPU OS [0-9_]{1,9} like Mac OS X\)") {
            set req.http.Terse-Device = "ipados";
        } elsif (req.http.User-Agent ~ "^.{13}(Linux; Android [0-9.]{1,6}; (K|(SAMSUNG )?SM-[A-Z][0-9]{3}[A-Z0-9]?|Pixel [0-9]{1,2}a?( Pro)?( XL)?)|Android [0-9.]{1,6}; (Mobile|Tablet); rv:[0-9.]{1,6})\)") {
            set req.http.Terse-Device = "android";
        }
    }
    if (req.http.User-Agent ~ "(?i)^.{0,900}(facebookexternalhit|Twitterbot|LinkedInBot|Slackbot|Discordbot|TelegramBot|WhatsApp|SkypeUriPreview|Googlebot/|bingbot|Applebot|Baiduspider|DuckDuckBot|PetalBot|Bytespider|Amazonbot|GPTBot|AhrefsBot|(YandexBot|ClaudeBot|SemrushBot)([^a-z]|$))") {
        set req.http.Terse-Device = "bot";
    }
}

# The first language, and English if it is the second one. Both without their regions.
sub set_language {
    unset req.http.Terse-Language;
    if (!req.http.Accept-Language) {
        set req.http.Terse-Language = "none";
    } elsif (std.tolower(req.http.Accept-Language) ~ "^(ar|bg|bn|ca|cs|da|de|el|en|es|et|fa|fi|fr|he|hi|hr|hu|id|it|ja|ko|lt|lv|ms|nb|nl|no|pl|pt|ro|ru|sk|sl|sr|sv|th|tr|uk|ur|vi|zh)(-[a-z0-9]{2,8}){0,2}(, ?\1(-[a-z0-9]{2,8}){0,2};q=0\.[1-9]){0,3}(, ?en(-[a-z0-9]{2,8}){0,2};q=0\.[1-9]){0,3}$") {
        set req.http.Terse-Language = regsub(std.tolower(req.http.Accept-Language), "^(..).*$", "\1");
        if (req.http.Terse-Language != "en" && std.tolower(req.http.Accept-Language) ~ ", ?en") {
            set req.http.Terse-Language = req.http.Terse-Language + ",en";
        }
    }
}

# The country comes from a proxy in front of Varnish. If there is one, run Terse with
# TERSE_COUNTRY_HEADER=Terse-Country.
sub set_country {
    unset req.http.Terse-Country;
    # CHANGE: remove the first "#" of the next line, and name the header of that proxy. The proxy
    # must replace the header in each request, and visitors must not reach Varnish without the proxy.
    # set req.http.Terse-Country = req.http.CF-IPCountry;
    if (req.http.Terse-Country !~ "^[A-Z][A-Z]$") {
        unset req.http.Terse-Country;
    }
}

# A request takes up to three rounds. X-Round names the round:
#   none: serve the cached redirect, also an expired one while stale-while-revalidate
#         allows it. Without a cached redirect the visitor gets Terse's answer or error.
#   new:  the redirect expired before that: fetch a new answer.
#   old:  the fetch failed: serve the expired redirect while stale-if-error allows it.
sub vcl_recv {
    if (req.restarts == 0) {
        unset req.http.X-Round;     # a visitor must not set it
        unset req.http.X-Purged;
        # The id of a request in the logs is Varnish's own. Visitors choose neither it nor
        # the trace.
        set req.http.X-Request-Id = "" + std.time2integer(now, 0) + "-" + req.xid + "-" + std.random(0, 1000000);
        unset req.http.traceparent;
        unset req.http.tracestate;
        call set_device;
        call set_language;
        call set_country;
    }
    if (req.method == "PURGE") {
        # Varnish has added the address of its client to X-Forwarded-For. A second address,
        # or a header of another proxy, means that a proxy sends the purge for its own client.
        if (client.ip !~ purgers || req.http.X-Forwarded-For != "" + client.ip ||
            req.http.Forwarded || req.http.X-Real-IP || req.http.Via) {
            return (synth(403, "Forbidden"));
        }
        # CHANGE: the same text as in TERSE_VARNISH_SECRET. Without it Varnish refuses every purge.
        if (req.http.X-Purge-Secret !~ "." || req.http.X-Purge-Secret != "") {
            return (synth(403, "Forbidden"));
        }
        if (!req.http.Xkey-Purge) {
            return (synth(400, "Xkey-Purge is missing"));
        }
        set req.http.X-Purged = xkey.purge(req.http.Xkey-Purge);
        return (synth(200, "Purged"));
    }

    # Only redirects are kept. Their query is a part of the key, since links may
    # forward it.
    if ((req.method != "GET" && req.method != "HEAD") || req.http.Authorization ||
        req.url !~ "^/[0-9A-Za-z_-][^/?]*(\?|$)" || req.url ~ "^/[^?]*\+(\?|$)") {
        return (pass);
    }
    unset req.http.Cookie;  # no redirect depends on one
    if (req.http.X-Round == "new") {
        set req.grace = 0s;
    } else {
        set req.grace = 31536000s;  # the answer's own is shorter
    }
    return (hash);
}

sub vcl_hit {
    if (obj.ttl > 0s) {
        set req.http.X-Cache = "HIT";
        return (deliver);
    }
    set req.http.X-Cache = "STALE";
    if (req.restarts == 0 && obj.ttl + std.duration(obj.http.X-Revalidate, 0s) <= 0s &&
        std.time(var.global_get("failing"), now) <= now) {
        set req.http.X-Round = "new";
        return (restart);
    }
    return (deliver);
}

sub vcl_miss {
    set req.http.X-Cache = "MISS";
    if (req.method == "HEAD") {
        return (pass);  # as GET, which Varnish would make of it, it counted as a click
    }
}

sub vcl_pass {
    set req.http.X-Cache = "PASS";
}

sub vcl_backend_fetch {
    if ((bereq.http.X-Round == "new" || bereq.is_bgfetch) && std.time(var.global_get("failing"), now) > now) {
        if (bereq.http.X-Round || std.time(var.global_get("asked"), now) > now) {
            return (abandon);
        }
        var.global_set("asked", now + 2s);
    }
    if (!bereq.uncacheable) {
        set bereq.first_byte_timeout = 5s;  # a redirect that takes longer is a failure; others wait for it
    }
}

sub vcl_backend_response {
    # An expired redirect is better than an error.
    if (beresp.status >= 500 && (bereq.http.X-Round == "new" || bereq.is_bgfetch)) {
        call failed;
        return (abandon);
    }
    # 429 depends on the client, not on the link.
    if (beresp.status == 429 && (bereq.http.X-Round == "new" || bereq.is_bgfetch)) {
        return (abandon);
    }
    if (beresp.status < 500 && var.global_get("failing") != "") {
        var.global_set("failing", "");
    }
    set beresp.http.xkey = beresp.http.Surrogate-Key;
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    if (bereq.uncacheable || beresp.http.CDN-Cache-Control ~ "no-store|no-cache|private" ||
        beresp.http.CDN-Cache-Control !~ "max-age=[0-9]") {
        set beresp.ttl = 1s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    unset beresp.http.X-Request-Id; # the id of one request, and the answer is for many
    set beresp.ttl = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
    if (beresp.http.CDN-Cache-Control ~ "stale-while-revalidate=[0-9]") {
        set beresp.http.X-Revalidate = regsub(beresp.http.CDN-Cache-Control, "^.*stale-while-revalidate=([0-9]+).*$", "\1s");
        set beresp.grace = std.duration(beresp.http.X-Revalidate, 0s);
    } else {
        unset beresp.http.X-Revalidate;
    }
    if (beresp.http.CDN-Cache-Control ~ "stale-if-error=[0-9]") {
        set beresp.grace = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*stale-if-error=([0-9]+).*$", "\1s"), 0s);
    }
    # Not the built-in rules, which go by Cache-Control: that one is for browsers.
    return (deliver);
}

sub vcl_backend_error {
    if (!bereq.uncacheable || bereq.http.X-Round) {
        call failed;
    }
    if (bereq.http.X-Round == "new" || bereq.is_bgfetch) {
        return (abandon);
    }
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Retry-After = "5";
    set beresp.http.Content-Type = "text/plain; charset=utf-8";
    synthetic("The service cannot be reached at the moment." + {"
"});
    return (deliver);
}

sub vcl_synth {
    if (resp.status == 503 && req.http.X-Round == "new") {
        set req.http.X-Round = "old";
        return (restart);
    }
    if (req.http.X-Purged) {
        set resp.http.X-Purged = req.http.X-Purged;
    }
    set resp.http.Content-Type = "text/plain; charset=utf-8";
    set resp.http.Cache-Control = "no-store";
    synthetic(resp.reason + {"
"});
    return (deliver);
}

sub vcl_deliver {
    set resp.http.X-Cache = req.http.X-Cache;
    if (!resp.http.X-Request-Id) {
        set resp.http.X-Request-Id = req.http.X-Request-Id;
    }
    unset resp.http.CDN-Cache-Control;
    unset resp.http.Surrogate-Key;
    unset resp.http.Cache-Tag;
    unset resp.http.xkey;
    if (resp.http.Vary ~ "^Terse-") {
        unset resp.http.Vary;   # on headers that no visitor sends
    }
    unset resp.http.X-Revalidate;
    unset resp.http.X-Varnish;
    unset resp.http.Via;
}
