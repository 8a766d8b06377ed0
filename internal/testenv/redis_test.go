//go:build unix

package testenv_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/internal/testenv"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t, testenv.RedisOptions{Settings: map[string]string{"maxmemory": "7mb"}})
	options, err := redis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	if got := client.ConfigGet(t.Context(), "maxmemory").Val()["maxmemory"]; got != "7340032" {
		t.Errorf("maxmemory = %q, want 7340032", got)
	}
	if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}

	if err := r.Freeze(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	frozen := redis.NewClient(&redis.Options{Addr: r.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = frozen.Close() })
	if err := frozen.Ping(short).Err(); err == nil {
		t.Error("a frozen server answers")
	}
	if err := r.Thaw(); err != nil {
		t.Fatal(err)
	}
	if got := client.Get(t.Context(), "key").Val(); got != "value" {
		t.Errorf("key after the thaw = %q, want value", got)
	}

	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := client.DBSize(t.Context()).Result(); err != nil || got != 0 {
		t.Errorf("keys after a restart = %d, %v, want 0", got, err)
	}
}
