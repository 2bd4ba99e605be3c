package gosdk

import (
	"testing"
	"time"

	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

// TestRemoteCluster: a remote cluster appears only when another cluster joins, so here there is
// none.
func TestRemoteCluster(t *testing.T) {
	ctx, clt := connect(t)
	const name = "leaf.example.com"
	_, err := clt.GetRemoteCluster(ctx, name)
	is(t, "get what is not there", trace.IsNotFound, err)
	is(t, "delete what is not there", trace.IsNotFound, clt.DeleteRemoteCluster(ctx, name))
	all, next, err := clt.ListRemoteClusters(ctx, 10, "")
	must(t, "list", err)
	equal(t, "how many", len(all), 0)
	equal(t, "the next page", next, "")
	cluster, err := types.NewRemoteCluster(name)
	must(t, "make one", err)
	_, err = clt.UpdateRemoteCluster(ctx, cluster)
	if err == nil {
		t.Fatal("what is not there was updated")
	}
	watch(t, ctx, clt, types.WatchKind{Kind: types.KindRemoteCluster})
}

func TestSemaphore(t *testing.T) {
	ctx, clt := connect(t)
	acquire := func(holder string, left time.Duration) (*types.SemaphoreLease, error) {
		return clt.AcquireSemaphore(ctx, types.AcquireSemaphoreRequest{
			SemaphoreKind: "go-kind",
			SemaphoreName: "leader",
			MaxLeases:     1,
			Expires:       time.Now().UTC().Add(left),
			Holder:        holder,
		})
	}
	filter := types.SemaphoreFilter{SemaphoreKind: "go-kind", SemaphoreName: "leader"}
	_, err := acquire("late", -time.Minute)
	is(t, "a lease that is over", trace.IsBadParameter, err)
	lease, err := acquire("one", time.Minute)
	must(t, "acquire", err)
	_, err = acquire("two", time.Minute)
	is(t, "acquire what is held", trace.IsLimitExceeded, err)

	lease.Expires = time.Now().UTC().Add(2 * time.Minute)
	must(t, "keep alive", clt.KeepAliveSemaphoreLease(ctx, *lease))
	held, err := clt.GetSemaphores(ctx, filter)
	must(t, "get", err)
	equal(t, "how many", len(held), 1)
	equal(t, "holder", held[0].LeaseRefs()[0].Holder, "one")
	equal(t, "lease", held[0].LeaseRefs()[0].LeaseID, lease.LeaseID)

	must(t, "cancel", clt.CancelSemaphoreLease(ctx, *lease))
	is(t, "cancel again", trace.IsNotFound, clt.CancelSemaphoreLease(ctx, *lease))
	is(t, "keep alive what is gone", trace.IsNotFound, clt.KeepAliveSemaphoreLease(ctx, *lease))
	again, err := acquire("two", time.Minute)
	must(t, "acquire what is free", err)
	must(t, "cancel", clt.CancelSemaphoreLease(ctx, *again))
	must(t, "delete", clt.DeleteSemaphore(ctx, filter))
	held, err = clt.GetSemaphores(ctx, filter)
	must(t, "get", err)
	equal(t, "how many are left", len(held), 0)
}
