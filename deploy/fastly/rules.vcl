# Fastly in front of Terse: three headers for links with rules on the device, the language and the country of a
# visitor. Terse answers with "Vary" on the headers that the rules ask about, so that Fastly keeps one answer for
# each value. Create three VCL snippets in the service:
#
#   type init     the subroutines of this file
#   type recv     if (fastly.ff.visits_this_service == 0 && req.restarts == 0) {
#                   call set_device;
#                   call set_language;
#                   call set_country;
#                 }
#   type deliver  if (fastly.ff.visits_this_service == 0 && resp.http.Vary ~ "^Terse-") {
#                   unset resp.http.Vary;
#                 }
#
# Terse runs with TERSE_CDN=fastly, with the networks of Fastly in TERSE_TRUSTED_PROXIES, and with
# TERSE_COUNTRY_HEADER=Terse-Country. The first two subroutines are the same as in ../varnish/terse.vcl. A header is
# set only if Terse finds the same value in the request. If a header is missing, Terse answers with no-store.
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

# The country by the database of Fastly.
sub set_country {
    unset req.http.Terse-Country;
    if (client.geo.country_code ~ "^[A-Z][A-Z]$") {
        set req.http.Terse-Country = client.geo.country_code;
    }
}
