package redis

import (
	"context"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Age shortens the life of everything under the prefix by d, as if that time had
// passed, and reports entries that have no end of life as an error. It makes
// time pass on a server whose clock cannot be set.
func (r *Cache) Age(ctx context.Context, d time.Duration) error {
	script := goredis.NewScript(`
local left = redis.call('PTTL', KEYS[1])
if left == -1 then return -1 end
if left <= tonumber(ARGV[1]) then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], left - tonumber(ARGV[1]))`)
	scan := func(ctx context.Context, node *goredis.Client) error {
		it := node.Scan(ctx, 0, r.c.Prefix+"*", 1000).Iterator()
		for it.Next(ctx) {
			n, err := script.Run(ctx, r.client, []string{it.Val()}, millis(d)).Int()
			if err != nil {
				return r.fail(ctx, "age", err)
			}
			if n == -1 {
				return fmt.Errorf("redis: an entry of kind %.2q has no end of life", it.Val()[len(r.c.Prefix):])
			}
		}
		return it.Err()
	}
	switch c := r.client.(type) {
	case *goredis.ClusterClient:
		return c.ForEachMaster(ctx, scan)
	case *goredis.Client:
		return scan(ctx, c)
	default:
		return fmt.Errorf("redis: client %T", c)
	}
}
