// Package gosdk judges the plane by Teleport's own Go SDK. `cargo test --test gosdk` starts a
// plane, mints identities and runs it.
package gosdk

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gravitational/teleport/api/client"
	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

// patience is longer than anything here takes when all is well.
const patience = 30 * time.Second

// env is a variable that the starting test sets.
func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: this suite is started by `cargo test --test gosdk`", name)
	}
	return value
}

// connectAs connects with the identity file that the variable names.
func connectAs(t *testing.T, variable string) (context.Context, *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	clt, err := client.New(ctx, client.Config{
		Addrs:       []string{env(t, "PLANE_ADDRESS")},
		Credentials: []client.Credentials{client.LoadIdentityFile(env(t, variable))},
	})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { clt.Close() })
	return ctx, clt
}

// connect connects as somebody who may edit everything.
func connect(t *testing.T) (context.Context, *client.Client) {
	t.Helper()
	return connectAs(t, "PLANE_IDENTITY")
}

func must(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// is fails unless the SDK's predicate recognises the error.
func is(t *testing.T, doing string, predicate func(error) bool, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error", doing)
	}
	if !predicate(err) {
		t.Fatalf("%s: another error than expected: %v (%T)", doing, err, trace.Unwrap(err))
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// life is what one kind can do through the SDK.
type life[T types.Resource] struct {
	fresh func(name string) T
	// change alters a resource; mark reads what it altered.
	change      func(T)
	mark        func(T) string
	create      func(context.Context, T) error
	get         func(context.Context, string) (T, error)
	list        func(context.Context) ([]T, error)
	update      func(context.Context, T) error
	remove      func(context.Context, string) error
	conditional bool
	// missing recognises the answer to an update of what is not there.
	missing func(error) bool
}

// walk takes one resource of a kind from nothing to nothing.
func walk[T types.Resource](t *testing.T, ctx context.Context, name string, kind life[T]) {
	t.Helper()
	_, err := kind.get(ctx, name)
	is(t, "get what is not there", trace.IsNotFound, err)
	is(t, "delete what is not there", trace.IsNotFound, kind.remove(ctx, name))
	is(t, "update what is not there", kind.missing, kind.update(ctx, kind.fresh(name)))

	must(t, "create", kind.create(ctx, kind.fresh(name)))
	is(t, "create again", trace.IsAlreadyExists, kind.create(ctx, kind.fresh(name)))
	first, err := kind.get(ctx, name)
	must(t, "get", err)
	equal(t, "name", first.GetName(), name)
	if first.GetRevision() == "" {
		t.Fatal("a stored resource has no revision")
	}
	all, err := kind.list(ctx)
	must(t, "list", err)
	equal(t, "listed times", times(all, name), 1)

	second, err := kind.get(ctx, name)
	must(t, "get", err)
	kind.change(second)
	must(t, "update with the present revision", kind.update(ctx, second))
	third, err := kind.get(ctx, name)
	must(t, "get", err)
	equal(t, "what was changed", kind.mark(third), kind.mark(second))
	if kind.mark(third) == kind.mark(first) {
		t.Fatal("the change changes nothing")
	}
	if third.GetRevision() == first.GetRevision() {
		t.Fatal("the revision stayed the same")
	}
	if kind.conditional {
		is(t, "update with a stale revision", trace.IsCompareFailed, kind.update(ctx, first))
		again, err := kind.get(ctx, name)
		must(t, "get", err)
		equal(t, "after a refused update", again.GetRevision(), third.GetRevision())
	} else {
		must(t, "update with a stale revision: the last writer wins", kind.update(ctx, first))
	}

	must(t, "delete", kind.remove(ctx, name))
	is(t, "delete again", trace.IsNotFound, kind.remove(ctx, name))
	_, err = kind.get(ctx, name)
	is(t, "get what is gone", trace.IsNotFound, err)
}

func times[T types.Resource](all []T, name string) int {
	count := 0
	for _, resource := range all {
		if resource.GetName() == name {
			count++
		}
	}
	return count
}

// watch opens a watch and takes its INIT.
func watch(t *testing.T, ctx context.Context, clt *client.Client, kinds ...types.WatchKind) types.Watcher {
	t.Helper()
	watcher, err := clt.NewWatcher(ctx, types.Watch{Kinds: kinds})
	must(t, "watch", err)
	t.Cleanup(func() { watcher.Close() })
	event := next(t, watcher)
	equal(t, "the first event", event.Type, types.OpInit)
	return watcher
}

func next(t *testing.T, watcher types.Watcher) types.Event {
	t.Helper()
	select {
	case event := <-watcher.Events():
		return event
	case <-watcher.Done():
		t.Fatalf("the watch ended: %v", watcher.Error())
	case <-time.After(patience):
		t.Fatal("no event came")
	}
	return types.Event{}
}

// hears waits for an event of that resource, whatever others do meanwhile.
func hears(t *testing.T, watcher types.Watcher, kind types.OpType, name string) types.Resource {
	t.Helper()
	for {
		event := next(t, watcher)
		if event.Resource.GetName() != name {
			continue
		}
		equal(t, "the event of "+name, event.Type, kind)
		return event.Resource
	}
}

// pages names n resources so that their order is their number.
func pages(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return names
}

// allOf fails unless the paged list holds each name exactly once, in more than one page.
func allOf(t *testing.T, names []string, list func(token string) (page []string, next string)) {
	t.Helper()
	seen := map[string]int{}
	token, count := "", 0
	for {
		page, following := list(token)
		count++
		for _, name := range page {
			seen[name]++
		}
		if following == "" {
			break
		}
		if following == token || count > 1000 {
			t.Fatalf("page %d leads to itself: %q", count, following)
		}
		token = following
	}
	if count < 3 {
		t.Fatalf("everything came in %d pages", count)
	}
	for _, name := range names {
		equal(t, "times of "+name, seen[name], 1)
	}
}

func mentions(t *testing.T, err error, part string) {
	t.Helper()
	if !strings.Contains(err.Error(), part) {
		t.Fatalf("%q does not mention %q", err, part)
	}
}
