//! The rules of the kinds: every code that a `check` can give, with its meaning.

use crate::model::Code;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: Code = Code($code);)*

        /// All of them with their meanings, in order.
        pub static CODES: &[(Code, &str)] = &[$(($name, $meaning)),*];
    };
}

codes! {
    LABEL_KEY = "K001": "A label key has characters that Teleport refuses.";
    SERVER_LABEL = "K002": "A label under Teleport's own prefixes is ignored.";
    OWNER_MARK = "K003": "The ownership mark is set by the agent and ignored in a manifest.";
    NAME = "K004": "A name has characters that the server refuses.";

    KUBE_NAME = "K010": "The name of a Kubernetes cluster is limited to letters, digits, `.`, `_` and `-`.";
    CREDENTIALS_INCOMPLETE = "K011": "A cloud credential block lacks a field.";
    CREDENTIALS_SEVERAL = "K012": "Only one kind of credentials can be used.";
    CREDENTIALS_NONE = "K013": "Without credentials the agents cannot register the cluster.";
    COMMAND_MISSING = "K014": "A dynamic label without a command never gets a value.";
    PERIOD_SHORT = "K015": "The command of a dynamic label runs at most once a second.";
    LABEL_HIDDEN = "K016": "A dynamic label hides the static one of the same name.";
    DYNAMIC_IGNORED = "K017": "A dynamic label whose name is not for manifests is ignored.";

    WILDCARD = "K020": "`*` is not allowed in this list.";
    WILDCARD_KEY = "K021": "The label key `*` takes no value but `*`.";
    RULE_RESOURCES = "K022": "A rule needs resources.";
    RULE_VERBS = "K023": "A rule needs verbs.";
    RECORDING = "K024": "Enhanced recording knows `command`, `disk` and `network`.";
    LOCK = "K025": "The lock mode is `strict` or `best_effort`.";
    DENY_WHERE = "K026": "`impersonate.where` has no meaning in a deny rule and is refused.";
    KUBE_KIND = "K027": "The kind of a Kubernetes resource is not known in this role version.";
    KUBE_PLACE = "K028": "A Kubernetes resource needs a name and, unless cluster-wide, a namespace.";
    KUBE_VERBS = "K029": "The verbs of a Kubernetes resource are a fixed list, or `*` alone.";
    KUBE_GROUP = "K030": "The API group of a Kubernetes resource belongs to role version 8.";
    PORT_FORWARDING = "K031": "Only one of `port_forwarding` and `ssh_port_forwarding` can be set.";
    IDP = "K032": "The option `idp` ends with role version 7.";
    DENY_DYNAMIC = "K033": "Labels that can change are no safe ground for a deny rule.";
    SYSTEM_ROLE = "K034": "The name is one of Teleport's own system roles.";
    SPIFFE = "K035": "A SPIFFE condition needs a path, and its addresses are networks.";
    DB_PERMISSIONS = "K036": "A database permission names at least one permission.";
    REQUEST = "K037": "The access requests of a role have bounds.";
    PREDICATE = "K038": "The condition cannot be read.";
    IMPERSONATE = "K039": "Users can be impersonated with roles only.";

    ROLES_AND_MAP = "K040": "Only one of `roles` and `role_map` can be set.";
    ROLE_MAP_NONE = "K041": "A trusted cluster needs a role map.";
    ROLE_MAP_ENTRY = "K042": "An entry of the role map needs `remote` and `local`.";
    ROLE_MAP_LOCAL = "K043": "A local role is a name, neither empty nor `*`.";
    ROLE_MAP_TWICE = "K044": "A remote role is mapped once.";
    ROLE_MAP_REGEX = "K045": "The regular expression cannot be read.";
    ROLE_MAP_LITERAL = "K046": "A remote role is a regular expression only between `^` and `$`.";
    PROXY_ADDRESS = "K047": "The address of the root's proxy is needed.";
    TRUST_EXPIRES = "K048": "A trust that expires leaves its authorities behind.";
    JOIN_TOKEN = "K049": "The root lets nobody in without a token.";

    JOIN_METHOD = "K060": "Only the join method `iam` is supported.";
    ALLOW_NONE = "K061": "The join method `iam` needs allow rules.";
    ALLOW_EMPTY = "K062": "An allow rule needs an account or an ARN.";
    ACCOUNT = "K063": "An AWS account has twelve digits.";
    ARN = "K064": "An AWS ARN begins with `arn:`.";
    METADATA_LOST = "K065": "The server keeps nothing of this metadata.";
    BOT_NAME = "K066": "The bot needs a name; it is the name of the token to join with, too.";
    REGIONS = "K067": "A workload cluster needs a region.";
    CLUSTER_NAME = "K068": "The name of a workload cluster becomes part of a domain name.";

    TOKEN_METHOD = "K071": "The join method is not known.";
    TOKEN_BLOCK = "K072": "The join method needs its own block of settings.";
    TOKEN_ALLOW = "K073": "The join method needs allow rules.";
    TOKEN_RULE = "K074": "An allow rule does not fit its join method.";
    TOKEN_FIELD = "K075": "The join method needs this field.";
    TOKEN_HOST = "K076": "A host is written without scheme and path.";
    TOKEN_ROLES = "K077": "A token is for system roles, each once.";
    TOKEN_BOT = "K078": "`bot_name` and the role `Bot` belong together.";
    TOKEN_KEYS = "K079": "The keys for Kubernetes do not fit the type.";

    ROLE_EMPTY = "K080": "The name of a role is not empty.";
    TRAIT_EMPTY = "K081": "A trait without a name or values vanishes.";
    BOT_TTL = "K082": "The longest session of a bot must not be negative.";

    KUBECONFIG = "K090": "The content is not a valid kubeconfig.";
    KUBECONFIG_CONTEXT = "K091": "A kubeconfig needs a current context, with cluster and user.";
    KUBECONFIG_SERVER = "K092": "The address of the API server must be one for the host that serves the cluster.";
    KUBECONFIG_FILE = "K093": "A kubeconfig for another host cannot refer to files.";
    KUBECONFIG_PROGRAM = "K094": "A kubeconfig for another host should not depend on programs there.";
    KUBECONFIG_CREDENTIALS = "K095": "The user of the current context needs one whole credential.";
    KUBECONFIG_SURPLUS = "K096": "A kubeconfig carries more than its current context.";
}
