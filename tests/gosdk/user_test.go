package gosdk

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gravitational/teleport/api/client"
	"github.com/gravitational/teleport/api/client/proto"
	userspb "github.com/gravitational/teleport/api/gen/proto/go/teleport/users/v1"
	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

func user(t *testing.T, name string) types.User {
	t.Helper()
	made, err := types.NewUser(name)
	must(t, "make a user", err)
	made.SetRoles([]string{"access"})
	made.SetTraits(map[string][]string{"logins": {"visitor"}})
	return made
}

func TestUser(t *testing.T) {
	ctx, clt := connect(t)
	walk(t, ctx, "go-user", life[types.User]{
		fresh: func(name string) types.User { return user(t, name) },
		change: func(u types.User) {
			u.SetRoles([]string{"access", "editor"})
			u.SetTraits(map[string][]string{"logins": {"visitor", "root"}})
		},
		mark: func(u types.User) string { return fmt.Sprint(u.GetRoles(), u.GetTraits()) },
		create: func(ctx context.Context, u types.User) error {
			_, err := clt.CreateUser(ctx, u)
			return err
		},
		get: func(ctx context.Context, name string) (types.User, error) {
			return clt.GetUser(ctx, name, false)
		},
		list: func(ctx context.Context) ([]types.User, error) { return clt.GetUsers(ctx, false) },
		update: func(ctx context.Context, u types.User) error {
			_, err := clt.UpdateUser(ctx, u)
			return err
		},
		remove:      clt.DeleteUser,
		conditional: true,
		missing:     trace.IsCompareFailed,
	})
}

func TestUserNeedsItsRoles(t *testing.T) {
	ctx, clt := connect(t)
	bad := user(t, "go-bad-user")
	bad.SetRoles([]string{"no-such-role"})
	_, err := clt.CreateUser(ctx, bad)
	is(t, "a role that does not exist", trace.IsNotFound, err)
}

func TestUserPagesAndWatch(t *testing.T) {
	ctx, clt := connect(t)
	watcher := watch(t, ctx, clt, types.WatchKind{Kind: types.KindUser})
	names := pages("go-user-page", 20)
	for _, name := range names {
		_, err := clt.UpsertUser(ctx, user(t, name))
		must(t, "upsert", err)
	}
	hears(t, watcher, types.OpPut, names[19])
	// The SDK asks for all in one page.
	all, err := clt.GetUsers(ctx, false)
	must(t, "list", err)
	for _, name := range names {
		equal(t, "times of "+name, times(all, name), 1)
	}
	for _, size := range []int{1, 2, 6, 19, 20, 21} {
		skipsOneUserPerPage(t, ctx, clt, all, size)
	}
	for _, name := range names {
		must(t, "delete", clt.DeleteUser(ctx, name))
	}
	hears(t, watcher, types.OpDelete, names[0])
}

// skipsOneUserPerPage walks the pages. A server of 18.0.0 leaves out the first user of each further
// page: the token is that user's name with a 0 behind it, and the next page begins after it. This
// function passes against a real one of that version too.
func skipsOneUserPerPage(t *testing.T, ctx context.Context, clt *client.Client, all []types.User, size int) {
	t.Helper()
	sorted := []string{}
	for _, u := range all {
		sorted = append(sorted, u.GetName())
	}
	slices.Sort(sorted)
	token := ""
	for {
		answer, err := clt.ListUsers(ctx, &userspb.ListUsersRequest{PageSize: int32(size), PageToken: token})
		must(t, "list", err)
		page := []string{}
		for _, u := range answer.Users {
			page = append(page, u.GetName())
		}
		rest := sorted[min(size, len(sorted)):]
		if wanted := sorted[:len(sorted)-len(rest)]; !slices.Equal(page, wanted) {
			t.Fatalf("pages of %d: got %v, not %v", size, page, wanted)
		}
		token = answer.NextPageToken
		if len(rest) == 0 {
			equal(t, "the token of the last page", token, "")
			return
		}
		equal(t, "the token of the next page", token, rest[0]+"0")
		sorted = rest[1:]
	}
}

func TestResetPasswordToken(t *testing.T) {
	ctx, clt := connect(t)
	ask := func(name, kind string, ttl time.Duration) (types.UserToken, error) {
		return clt.CreateResetPasswordToken(ctx, &proto.CreateResetPasswordTokenRequest{
			Name: name, Type: kind, TTL: proto.Duration(ttl),
		})
	}
	_, err := ask("go-nobody", "invite", time.Hour)
	is(t, "a user that does not exist", trace.IsNotFound, err)
	_, err = clt.CreateUser(ctx, user(t, "go-invited"))
	must(t, "create", err)
	defer func() { must(t, "delete", clt.DeleteUser(ctx, "go-invited")) }()
	token, err := ask("go-invited", "invite", 2*time.Hour)
	must(t, "invite", err)
	equal(t, "of whom", token.GetUser(), "go-invited")
	equal(t, "kind", token.GetSubKind(), "invite")
	if !strings.HasSuffix(token.GetURL(), "/web/invite/"+token.GetName()) || len(token.GetName()) != 32 {
		t.Fatalf("the URL %q of token %q", token.GetURL(), token.GetName())
	}
	left := time.Until(token.Expiry())
	if left < 119*time.Minute || left > 2*time.Hour {
		t.Fatalf("it expires in %v", left)
	}
	_, err = ask("go-invited", "invite", 100*time.Hour)
	is(t, "too long", trace.IsBadParameter, err)
	_, err = ask("go-invited", "no-such-type", time.Hour)
	is(t, "an unknown type", trace.IsBadParameter, err)
}
