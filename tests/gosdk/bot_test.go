package gosdk

import (
	"strings"
	"testing"

	headerv1 "github.com/gravitational/teleport/api/gen/proto/go/teleport/header/v1"
	machineid "github.com/gravitational/teleport/api/gen/proto/go/teleport/machineid/v1"
	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

func TestBot(t *testing.T) {
	ctx, clt := connect(t)
	bots := clt.BotServiceClient()
	const name = "go-bot"
	fresh := func(roles ...string) *machineid.Bot {
		return &machineid.Bot{
			Kind:     types.KindBot,
			Version:  types.V1,
			Metadata: &headerv1.Metadata{Name: name},
			Spec: &machineid.BotSpec{
				Roles:  roles,
				Traits: []*machineid.Trait{{Name: "logins", Values: []string{"bot"}}},
			},
		}
	}
	get := &machineid.GetBotRequest{BotName: name}
	remove := &machineid.DeleteBotRequest{BotName: name}

	_, err := bots.GetBot(ctx, get)
	is(t, "get what is not there", trace.IsNotFound, err)
	_, err = bots.DeleteBot(ctx, remove)
	is(t, "delete what is not there", trace.IsNotFound, err)
	made, err := bots.CreateBot(ctx, &machineid.CreateBotRequest{Bot: fresh("access")})
	must(t, "create", err)
	equal(t, "its user", made.GetStatus().GetUserName(), "bot-go-bot")
	_, err = bots.CreateBot(ctx, &machineid.CreateBotRequest{Bot: fresh("access")})
	is(t, "create again", trace.IsAlreadyExists, err)

	_, err = clt.GetUser(ctx, "bot-go-bot", false)
	must(t, "its user is there", err)
	role, err := clt.GetRole(ctx, "bot-go-bot")
	must(t, "its role is there", err)
	equal(t, "it impersonates", strings.Join(role.GetImpersonateConditions(types.Allow).Roles, ","), "access")

	updated, err := bots.UpdateBot(ctx, &machineid.UpdateBotRequest{
		Bot:        fresh("access", "editor"),
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"spec.roles"}},
	})
	must(t, "update", err)
	equal(t, "roles", strings.Join(updated.GetSpec().GetRoles(), ","), "access,editor")
	_, err = bots.UpdateBot(ctx, &machineid.UpdateBotRequest{
		Bot:        fresh("access"),
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"metadata.name"}},
	})
	is(t, "an unsupported path", trace.IsBadParameter, err)
	got, err := bots.GetBot(ctx, get)
	must(t, "get", err)
	equal(t, "roles", strings.Join(got.GetSpec().GetRoles(), ","), "access,editor")
	equal(t, "traits", got.GetSpec().GetTraits()[0].GetValues()[0], "bot")

	found := 0
	for token, pages := "", 0; pages == 0 || token != ""; pages++ {
		answer, err := bots.ListBots(ctx, &machineid.ListBotsRequest{PageSize: 2, PageToken: token})
		must(t, "list", err)
		for _, bot := range answer.GetBots() {
			if bot.GetMetadata().GetName() == name {
				found++
			}
		}
		token = answer.GetNextPageToken()
		if pages > 1000 {
			t.Fatal("the list does not end")
		}
	}
	equal(t, "listed times", found, 1)

	_, err = bots.DeleteBot(ctx, remove)
	must(t, "delete", err)
	_, err = bots.GetBot(ctx, get)
	is(t, "get what is gone", trace.IsNotFound, err)
	_, err = clt.GetRole(ctx, "bot-go-bot")
	is(t, "its role is gone", trace.IsNotFound, err)
	_, err = clt.GetUser(ctx, "bot-go-bot", false)
	is(t, "its user is gone", trace.IsNotFound, err)
}
