package remote

import (
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// The scripts have one key each, so that they run in a cluster. They return
// whether they have written, as a number. Kinds of values are told apart by their first byte,
// see encode.go; behind it the version of links and markers is 8 bytes, the
// highest first.

// fillScript keeps the link ARGV[1] of version ARGV[2] for ARGV[3] ms while the
// lease ARGV[4] stands, or in the place of an older link.
var fillScript = redis.NewScript(`
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
if kept ~= ARGV[4] then
	if string.sub(kept, 1, 1) ~= 'L' then return 0 end
	if struct.unpack('>I8', kept, 2) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1`)

// putScript keeps the link ARGV[1] for ARGV[2] ms where there is none, unless the clock
// of Redis is past ARGV[3]. It returns what that shows, in Unix milliseconds, which are
// negative when it has not written.
var putScript = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[3]) then return -now end
local kept = redis.call('GET', KEYS[1])
if kept and string.sub(kept, 1, 1) ~= 'R' then return -now end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return now`)

// tellScript keeps the link ARGV[1] of version ARGV[2] for ARGV[3] ms in the place
// of an older one. Where none is kept it leaves the marker ARGV[4] for ARGV[5] ms.
// It keeps no link there: a writer that was slow may be behind an edit which is
// no longer kept. Nor does it where another link of that version is kept: one of them
// was lost in a failover, and whoever tells of it may be late.
var tellScript = redis.NewScript(`
local kept = redis.call('GET', KEYS[1])
local kind = kept and string.sub(kept, 1, 1)
local version = (kind == 'L' or kind == 'M') and struct.unpack('>I8', kept, 2)
if version and version > tonumber(ARGV[2]) then return 0 end
local again = version == tonumber(ARGV[2])
if again and (kind == 'M' or kept == ARGV[1]) then return 0 end
if kind == 'L' and not again then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
else
	redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
end
return 1`)

// jittered returns d ± 10 %.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // jitter
}
