package transport

import "github.com/redis/go-redis/v9"

// The scripts of tables. KEYS are the hashes of all sections; of ARGV, the first is how long they live, in
// milliseconds, 0 for ever, and then come for each section how many rows follow, and these. Commands get 4,000
// values at a time: Lua's unpack fails beyond 8,000.
//
// redisScriptHead is unpackRedisRow's head, false for a missing row. redisScriptRenew lets the hashes live on, both to
// the same moment; not at each call, because it is a write that replicas get. Those that are to live for ever lose an
// expiry that they have from an earlier SnapshotTTL.
const (
	redisScriptHead = `
local function head(v)
	if not v or v == '' then return false end
	if #v < 5 then return v end
	local a, b, c, d = string.byte(v, 1, 4)
	local n = ((a * 256 + b) * 256 + c) * 256 + d
	if n == 0 or n > #v - 4 then return v end
	return string.sub(v, 5, 4 + n)
end
`
	redisScriptRenew = `
local function renew(ttl)
	if ttl == 0 then
		for _, key in ipairs(KEYS) do
			if redis.call('PTTL', key) > 0 then redis.call('PERSIST', key) end
		end
		return
	end
	local due = false
	for _, key in ipairs(KEYS) do
		local left = redis.call('PTTL', key)
		if left ~= -2 and left < ttl * 0.9 then due = true end
	end
	if not due then return end
	local now = redis.call('TIME')
	local at = string.format('%.0f', tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + ttl)
	for _, key in ipairs(KEYS) do redis.call('PEXPIREAT', key, at) end
end
`
)

// redisScript also knows its source.
type redisScript struct {
	*redis.Script
	source string
}

func newRedisScript(source string) redisScript { return redisScript{redis.NewScript(source), source} }

//nolint:gochecknoglobals // constants, but for their hashes
var (
	// A row is its key. It returns the heads.
	redisHeads = newRedisScript(redisScriptHead + redisScriptRenew + `
local heads, pos = {}, 2
for _, key in ipairs(KEYS) do
	local last = pos + tonumber(ARGV[pos])
	for from = pos + 1, last, 4000 do
		local values = redis.call('HMGET', key, unpack(ARGV, from, math.min(from + 3999, last)))
		for i = 1, #values do heads[#heads + 1] = head(values[i]) end
	end
	pos = last + 1
end
renew(tonumber(ARGV[1]))
return heads
`)

	// A row is its key, its expected head or '', and its new value, '-' to remove it, '=' to leave it. It returns
	// 1, or 0 if a head is another one.
	redisSwap = newRedisScript(redisScriptHead + redisScriptRenew + `
local pos = 2
for _, key in ipairs(KEYS) do
	local rows = tonumber(ARGV[pos])
	for from = 0, rows - 1, 4000 do
		local names = {}
		for i = from, math.min(from + 4000, rows) - 1 do names[#names + 1] = ARGV[pos + 1 + 3 * i] end
		local values = redis.call('HMGET', key, unpack(names))
		for i = 1, #names do
			if (head(values[i]) or '') ~= ARGV[pos + 2 + 3 * (from + i - 1)] then return 0 end
		end
	end
	pos = pos + 1 + 3 * rows
end

pos = 2
for _, key in ipairs(KEYS) do
	local rows = tonumber(ARGV[pos])
	for from = 0, rows - 1, 2000 do
		local set, gone = {}, {}
		for i = from, math.min(from + 2000, rows) - 1 do
			local name, value = ARGV[pos + 1 + 3 * i], ARGV[pos + 3 + 3 * i]
			if value == '-' then
				gone[#gone + 1] = name
			elseif value ~= '=' then
				set[#set + 1] = name
				set[#set + 1] = value
			end
		end
		if #set > 0 then redis.call('HSET', key, unpack(set)) end
		if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
	end
	pos = pos + 1 + 3 * rows
end
renew(tonumber(ARGV[1]))
return 1
`)

	// KEYS is one hash, ARGV the cursor. It returns which process answers, for a cursor is worth nothing to another
	// one, the next cursor, and keys and values in turn. Whoever may not see INFO scans without that.
	redisScan = newRedisScript(`
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local step = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', '500')
return {server, step[1], step[2]}
`)
)
