//! Which message a recorded method takes and which it answers with. No name: the empty message.

const EMPTY: &str = "";

/// Method, request, answer.
#[rustfmt::skip]
const CALLS: &[(&str, &str, &str)] = &[
    ("CreateRole", "proto.CreateRoleRequest", "types.RoleV6"),
    ("UpdateRole", "proto.UpdateRoleRequest", "types.RoleV6"),
    ("UpsertRoleV2", "proto.UpsertRoleRequest", "types.RoleV6"),
    ("GetRole", "proto.GetRoleRequest", "types.RoleV6"),
    ("ListRoles", "proto.ListRolesRequest", "proto.ListRolesResponse"),
    ("DeleteRole", "proto.DeleteRoleRequest", EMPTY),
    ("CreateKubernetesCluster", "types.KubernetesClusterV3", EMPTY),
    ("UpdateKubernetesCluster", "types.KubernetesClusterV3", EMPTY),
    ("DeleteKubernetesCluster", "types.ResourceRequest", EMPTY),
    ("GetKubernetesCluster", "types.ResourceRequest", "types.KubernetesClusterV3"),
    ("GetKubernetesClusters", EMPTY, "types.KubernetesClusterV3List"),
    ("ListResources", "proto.ListResourcesRequest", "proto.ListResourcesResponse"),
    ("GetTrustedCluster", "types.ResourceRequest", "types.TrustedClusterV2"),
    ("GetTrustedClusters", EMPTY, "types.TrustedClusterV2List"),
    ("DeleteTrustedCluster", "types.ResourceRequest", EMPTY),
    ("/proto.AuthService/UpsertTrustedCluster", "types.TrustedClusterV2", "types.TrustedClusterV2"),
    ("/teleport.trust.v1.TrustService/UpsertTrustedCluster", "teleport.trust.v1.UpsertTrustedClusterRequest", "types.TrustedClusterV2"),
    ("CreateTrustedCluster", "teleport.trust.v1.CreateTrustedClusterRequest", "types.TrustedClusterV2"),
    ("UpdateTrustedCluster", "teleport.trust.v1.UpdateTrustedClusterRequest", "types.TrustedClusterV2"),
    ("GetRemoteCluster", "teleport.presence.v1.GetRemoteClusterRequest", "types.RemoteClusterV3"),
    ("ListRemoteClusters", "teleport.presence.v1.ListRemoteClustersRequest", "teleport.presence.v1.ListRemoteClustersResponse"),
    ("UpdateRemoteCluster", "teleport.presence.v1.UpdateRemoteClusterRequest", "types.RemoteClusterV3"),
    ("DeleteRemoteCluster", "teleport.presence.v1.DeleteRemoteClusterRequest", EMPTY),
    ("ListReverseTunnels", "programs.ListReverseTunnelsRequest", "programs.ListReverseTunnelsResponse"),
    ("GetUser", "teleport.users.v1.GetUserRequest", "teleport.users.v1.GetUserResponse"),
    ("ListUsers", "teleport.users.v1.ListUsersRequest", "teleport.users.v1.ListUsersResponse"),
    ("CreateUser", "teleport.users.v1.CreateUserRequest", "teleport.users.v1.CreateUserResponse"),
    ("UpdateUser", "teleport.users.v1.UpdateUserRequest", "teleport.users.v1.UpdateUserResponse"),
    ("UpsertUser", "teleport.users.v1.UpsertUserRequest", "teleport.users.v1.UpsertUserResponse"),
    ("DeleteUser", "teleport.users.v1.DeleteUserRequest", EMPTY),
    ("GetCurrentUser", EMPTY, EMPTY),
    ("CreateResetPasswordToken", "proto.CreateResetPasswordTokenRequest", "types.UserTokenV3"),
    ("GetToken", "types.ResourceRequest", "types.ProvisionTokenV2"),
    ("GetTokens", EMPTY, "types.ProvisionTokenV2List"),
    ("CreateTokenV2", "proto.CreateTokenV2Request", EMPTY),
    ("UpsertTokenV2", "proto.UpsertTokenV2Request", EMPTY),
    ("DeleteToken", "types.ResourceRequest", EMPTY),
    ("GetBot", "teleport.machineid.v1.GetBotRequest", "teleport.machineid.v1.Bot"),
    ("ListBots", "teleport.machineid.v1.ListBotsRequest", "teleport.machineid.v1.ListBotsResponse"),
    ("CreateBot", "teleport.machineid.v1.CreateBotRequest", "teleport.machineid.v1.Bot"),
    ("UpdateBot", "teleport.machineid.v1.UpdateBotRequest", "teleport.machineid.v1.Bot"),
    ("UpsertBot", "teleport.machineid.v1.UpsertBotRequest", "teleport.machineid.v1.Bot"),
    ("DeleteBot", "teleport.machineid.v1.DeleteBotRequest", EMPTY),
    ("Ping", "proto.PingRequest", "programs.PingResponse"),
    ("GetDomainName", EMPTY, "proto.GetDomainNameResponse"),
    ("GetClusterAlerts", "programs.GetClusterAlertsRequest", "programs.GetClusterAlertsResponse"),
    ("CreateAuthenticateChallenge", "programs.CreateAuthenticateChallengeRequest", "programs.MFAAuthenticateChallenge"),
    ("GetAuthPreference", EMPTY, "programs.AuthPreferenceV2"),
    ("NoSuchMethod", EMPTY, EMPTY),
    ("Method", EMPTY, EMPTY),
];

/// The names of the request's and the answer's message.
pub fn messages(path: &str) -> (&'static str, &'static str) {
    let last = path.rsplit('/').next().unwrap();
    let found = CALLS.iter().find(|(name, _, _)| *name == path || *name == last);
    let (_, request, answer) = found.unwrap_or_else(|| panic!("{path} is not in the table"));
    (request, answer)
}
