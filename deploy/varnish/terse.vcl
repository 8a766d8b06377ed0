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
    unset resp.http.X-Revalidate;
    unset resp.http.X-Varnish;
    unset resp.http.Via;
}
