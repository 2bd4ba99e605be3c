package gosdk

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gravitational/teleport/api/client/proto"
	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

func role(t *testing.T, name string) types.Role {
	t.Helper()
	made, err := types.NewRoleWithVersion(name, types.V7, types.RoleSpecV6{
		Allow: types.RoleConditions{
			Logins:     []string{"visitor"},
			NodeLabels: types.Labels{"env": []string{"prod", "test"}},
			Rules:      []types.Rule{types.NewRule(types.KindRole, []string{types.VerbRead})},
		},
	})
	must(t, "make a role", err)
	return made
}

func TestRole(t *testing.T) {
	ctx, clt := connect(t)
	walk(t, ctx, "go-role", life[types.Role]{
		fresh:  func(name string) types.Role { return role(t, name) },
		change: func(r types.Role) { r.SetLogins(types.Allow, []string{"guest"}) },
		mark:   func(r types.Role) string { return r.GetLogins(types.Allow)[0] },
		create: func(ctx context.Context, r types.Role) error {
			_, err := clt.CreateRole(ctx, r)
			return err
		},
		get:  clt.GetRole,
		list: clt.GetRoles,
		update: func(ctx context.Context, r types.Role) error {
			_, err := clt.UpdateRole(ctx, r)
			return err
		},
		remove:      clt.DeleteRole,
		conditional: true,
		missing:     trace.IsCompareFailed,
	})
}

func TestRoleUpsert(t *testing.T) {
	ctx, clt := connect(t)
	made, err := clt.UpsertRole(ctx, role(t, "go-upsert"))
	must(t, "upsert what is not there", err)
	again, err := clt.UpsertRole(ctx, role(t, "go-upsert"))
	must(t, "upsert what is there", err)
	if made.GetRevision() == again.GetRevision() {
		t.Fatal("the revision stayed the same")
	}
	equal(t, "a label's values", len(again.GetNodeLabels(types.Allow)["env"]), 2)
	equal(t, "version", again.GetVersion(), types.V7)
	must(t, "delete", clt.DeleteRole(ctx, "go-upsert"))
}

func TestRoleIsRefused(t *testing.T) {
	ctx, clt := connect(t)
	bad := role(t, "go-bad").(*types.RoleV6)
	bad.Spec.Allow.KubernetesResources = []types.KubernetesResource{{Kind: "no-such-kind", Name: "*", Namespace: "*"}}
	_, err := clt.CreateRole(ctx, bad)
	is(t, "a kind that does not exist", trace.IsBadParameter, err)
	mentions(t, err, "no-such-kind")
}

func TestPresetRoles(t *testing.T) {
	ctx, clt := connect(t)
	for _, name := range []string{"access", "editor", "auditor"} {
		_, err := clt.GetRole(ctx, name)
		must(t, name, err)
	}
}

func TestRolePages(t *testing.T) {
	ctx, clt := connect(t)
	names := pages("go-page", 25)
	for _, name := range names {
		_, err := clt.CreateRole(ctx, role(t, name))
		must(t, "create", err)
	}
	allOf(t, names, func(token string) ([]string, string) {
		answer, err := clt.ListRoles(ctx, &proto.ListRolesRequest{Limit: 7, StartKey: token})
		must(t, "list", err)
		if len(answer.Roles) > 7 {
			t.Fatalf("a page of %d", len(answer.Roles))
		}
		page := []string{}
		for _, r := range answer.Roles {
			page = append(page, r.GetName())
		}
		return page, answer.NextKey
	})
	for _, name := range names {
		must(t, "delete", clt.DeleteRole(ctx, name))
	}
}

func TestRoleWatch(t *testing.T) {
	ctx, clt := connect(t)
	watcher := watch(t, ctx, clt, types.WatchKind{Kind: types.KindRole})
	made, err := clt.CreateRole(ctx, role(t, "go-watch"))
	must(t, "create", err)
	put := hears(t, watcher, types.OpPut, "go-watch")
	equal(t, "the event's revision", put.GetRevision(), made.GetRevision())
	must(t, "delete", clt.DeleteRole(ctx, "go-watch"))
	hears(t, watcher, types.OpDelete, "go-watch")
}

// TestRoleDefaults sends a role that says nothing and reads what a server of 18.0.0 makes of it.
func TestRoleDefaults(t *testing.T) {
	ctx, clt := connect(t)
	bare := &types.RoleV6{Version: types.V7, Metadata: types.Metadata{Name: "go-bare-role"}}
	made, err := clt.UpsertRole(ctx, bare)
	must(t, "upsert", err)
	defer func() { must(t, "delete", clt.DeleteRole(ctx, "go-bare-role")) }()
	options := made.GetOptions()
	equal(t, "session", options.MaxSessionTTL.Duration(), 30*time.Hour)
	equal(t, "certificate", options.CertificateFormat, "standard")
	equal(t, "events", strings.Join(options.BPF, ","), "command,network")
	equal(t, "recording", string(options.RecordSession.Default), "best_effort")
	equal(t, "files", options.SSHFileCopy.Value, true)
	equal(t, "namespace", made.GetMetadata().Namespace, "default")
}
