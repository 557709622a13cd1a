package transport

// An entry of a stream has two fields: the frame, and prev, the ID of the entry before it. The IDs of Redis do not tell
// what was trimmed between two of them; prev does.
const (
	redisStreamPrev  = "prev"
	redisStreamFrame = "frame"

	// redisStreamStart is before all IDs.
	redisStreamStart = "0-0"
)

// redisStreamNewest is the ID of the newest entry. Lua gets the entry whole, which costs as much as the adding of that
// entry did; XINFO would bring the first one too.
const redisStreamNewest = `
local function newest()
	local entry = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', '1')[1]
	return entry and entry[1] or '` + redisStreamStart + `'
end
`

//nolint:gochecknoglobals // constants, but for their hashes
var (
	// ARGV is how long the stream lives, in milliseconds, its length, and the frame.
	redisAppend = newRedisScript(redisScriptRenew + redisStreamNewest + `
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', '` + redisStreamPrev + `', newest(), '` + redisStreamFrame + `', ARGV[3])
renew(tonumber(ARGV[1]))
return 1
`)

	redisNewest = newRedisScript(redisStreamNewest + `return newest()`)
)
