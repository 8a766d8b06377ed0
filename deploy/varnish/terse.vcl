# Varnish in front of Terse: redirects are answered from here for as long as their
# CDN-Cache-Control (RFC 9213) allows, and until Terse purges the tag of their link.
#
# Needs Varnish 7 with vmod xkey (Debian: varnish and varnish-modules). Terse runs
# with TERSE_CDN=varnish, with every Varnish in TERSE_VARNISH_URLS, and with the
# addresses of all of them in TERSE_TRUSTED_PROXIES. Edit the lines marked CHANGE.
vcl 4.1;

import std;
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

sub vcl_recv {
    if (req.method == "PURGE") {
        # CHANGE: the same text as in TERSE_VARNISH_SECRET, or both empty
        if (client.ip !~ purgers || req.http.X-Purge-Secret != "") {
            return (synth(403, "Forbidden"));
        }
        if (!req.http.Xkey-Purge) {
            return (synth(400, "Xkey-Purge is missing"));
        }
        set req.http.X-Purged = xkey.purge(req.http.Xkey-Purge);
        return (synth(200, "Purged"));
    }

    # An answer may be used for this long after its end while a new one is fetched;
    # when that fails, for as long as stale-if-error allows.
    if (req.restarts == 0) {
        unset req.http.X-Stale-If-Error;
        set req.grace = 30s;
    } else {
        set req.grace = 86400s;
    }

    # Only redirects are kept. Their query is a part of the key, since links may
    # forward it.
    if ((req.method != "GET" && req.method != "HEAD") || req.http.Authorization ||
        req.url !~ "^/[0-9A-Za-z_-][^/?]*(\?|$)" || req.url ~ "^/[^?]*\+(\?|$)") {
        return (pass);
    }
    unset req.http.Cookie;  # no redirect depends on one
    return (hash);
}

sub vcl_backend_response {
    # 5xx: what is kept may be better. See vcl_synth.
    if (beresp.status >= 500 && !bereq.uncacheable && !bereq.http.X-Stale-If-Error) {
        return (abandon);
    }
    set beresp.http.xkey = beresp.http.Surrogate-Key;
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    if (bereq.uncacheable || beresp.http.CDN-Cache-Control !~ "max-age=[0-9]") {
        set beresp.ttl = 1s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    set beresp.ttl = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*max-age=([0-9]+).*$", "\1s"), 0s);
    if (beresp.http.CDN-Cache-Control ~ "stale-if-error=[0-9]") {
        set beresp.grace = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*stale-if-error=([0-9]+).*$", "\1s"), 0s);
    } elsif (beresp.http.CDN-Cache-Control ~ "stale-while-revalidate=[0-9]") {
        set beresp.grace = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*stale-while-revalidate=([0-9]+).*$", "\1s"), 0s);
    }
    # Not the built-in rules, which go by Cache-Control: that one is for browsers.
    return (deliver);
}

sub vcl_backend_error {
    if (!bereq.uncacheable && !bereq.http.X-Stale-If-Error) {
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
    # Terse could not answer: look once more for something older, and ask Terse
    # itself for its error when there is nothing.
    if (resp.status == 503 && req.restarts == 0 && req.method != "PURGE") {
        set req.http.X-Stale-If-Error = "1";
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

sub vcl_hit {
    if (obj.ttl <= 0s) {
        set req.http.X-Cache = "STALE";
    } else {
        set req.http.X-Cache = "HIT";
    }
}

sub vcl_miss {
    set req.http.X-Cache = "MISS";
}

sub vcl_pass {
    set req.http.X-Cache = "PASS";
}

sub vcl_deliver {
    set resp.http.X-Cache = req.http.X-Cache;
    unset resp.http.CDN-Cache-Control;
    unset resp.http.Surrogate-Key;
    unset resp.http.Cache-Tag;
    unset resp.http.xkey;
    unset resp.http.X-Varnish;
    unset resp.http.Via;
}
