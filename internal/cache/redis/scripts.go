package redis

import (
	"context"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"oruro.gob.bo/suti/internal/cache"
)

// The scripts. KEYS[1] is the only key; ARGV[1] is the number drawn for the
// call, which comes first in every answer.
var (
	scriptSetNX = goredis.NewScript(`
if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then return {ARGV[1], 1} end
return {ARGV[1], 0}`)

	scriptSet = goredis.NewScript(`
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {ARGV[1], 1}`)

	scriptGetDel = goredis.NewScript(`
local v = redis.call('GET', KEYS[1])
if not v then return {ARGV[1]} end
redis.call('DEL', KEYS[1])
return {ARGV[1], v}`)

	scriptDel = goredis.NewScript(`
return {ARGV[1], redis.call('DEL', KEYS[1])}`)

	scriptIncr = goredis.NewScript(`
local n = redis.call('INCR', KEYS[1])
if n == 1 or redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {ARGV[1], n}`)

	// scriptTake is [cache.Step] in whole microseconds: ARGV holds interval,
	// tolerance, cost and the time, or 0 for the server's own. It gives back
	// whether the event is allowed, tat-now before the bound was applied to a
	// refusal, and the present.
	scriptTake = goredis.NewScript(`
local interval, tolerance, cost, now = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if now == 0 then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local tat = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
local before = math.min(math.max(tat, now), now + tolerance)
local after = before + interval * cost
if after - now > tolerance then
  return {ARGV[1], string.format('%.0f', before), string.format('%.0f', now)}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {ARGV[1], string.format('%.0f', before), string.format('%.0f', now)}`)
)

// Take implements [cache.Taker]. The server computes; the decision is then read
// off its numbers with [cache.Step], so that both backends answer alike.
func (r *Cache) Take(ctx context.Context, key string, rate cache.Rate, cost int) (cache.Decision, error) {
	if err := cache.CheckKey(key); err != nil {
		return cache.Decision{}, err
	}
	interval, tolerance, burst, err := rate.Cells(cost)
	if err != nil {
		return cache.Decision{}, err
	}
	var now int64
	if r.c.Now != nil {
		now = r.c.Now().UnixMicro()
	}
	answer, err := r.run(ctx, "take", scriptTake, r.name(kindRate, key),
		interval.Microseconds(), tolerance.Microseconds(), cost, now)
	if err != nil {
		return cache.Decision{}, err
	}
	before, now, ok := twoNumbers(answer)
	if !ok {
		r.foreign()
		return cache.Decision{}, fmt.Errorf("%w: take: answer of another kind", cache.ErrUnavailable)
	}
	d, _ := cache.Step(before, now, interval, tolerance, burst, cost)
	return d, nil
}

func twoNumbers(answer []any) (a, b int64, ok bool) {
	if len(answer) != 2 {
		return 0, 0, false
	}
	var out [2]int64
	for i, x := range answer {
		s, ok := x.(string)
		if !ok {
			return 0, 0, false
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		out[i] = n
	}
	return out[0], out[1], true
}
