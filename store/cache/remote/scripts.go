package remote

import (
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// Each script has one key, so that it runs in a cluster. It returns whether it has written, as
// a number. The first byte of a value is its kind, see encode.go. In links and markers the
// next 8 bytes are the version, big-endian.

// fillScript stores the link ARGV[1] of version ARGV[2] for ARGV[3] ms if the lease ARGV[4]
// exists or an older link is stored.
var fillScript = redis.NewScript(`
local kept = redis.call('GET', KEYS[1])
if not kept then return 0 end
if kept ~= ARGV[4] then
	if string.sub(kept, 1, 1) ~= 'L' then return 0 end
	if struct.unpack('>I8', kept, 2) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1`)

// putScript stores the link ARGV[1] for ARGV[2] ms if no link or marker is stored, unless the
// clock of Redis is past ARGV[3]. It returns the time on that clock in Unix milliseconds,
// negative if it has not written.
var putScript = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[3]) then return -now end
local kept = redis.call('GET', KEYS[1])
if kept and string.sub(kept, 1, 1) ~= 'R' then return -now end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return now`)

// announceScript replaces an older link by the link ARGV[1] of version ARGV[2] for ARGV[3] ms. If
// no link is stored, it stores the marker ARGV[4] for ARGV[5] ms instead: the writer may be
// slow, and Redis may already have evicted a later edit. It also stores the marker if another
// link of the same version is stored: a failover lost one of the two, and the slow writer may
// have the lost one.
var announceScript = redis.NewScript(`
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
