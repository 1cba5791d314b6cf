//! Repositories, their images and environments.

use protocol::api::*;
use serde_json::json;

use super::count;
use crate::api::openapi::document::Schemas;
use crate::api::openapi::document::operation::{Operation, client};

pub(super) fn repositories(schemas: &mut Schemas) -> Vec<Operation> {
    let list = client(
        "get",
        "/api/repositories",
        "What the user reaches on GitHub",
    );
    let show = client(
        "get",
        "/api/repositories/{owner}/{name}",
        "Default branch, settings, newest image",
    );
    let branches = client(
        "get",
        "/api/repositories/{owner}/{name}/branches",
        "Branches whose name contains `query`, the default one first",
    );
    let settings = client(
        "put",
        "/api/repositories/{owner}/{name}/settings",
        "Sets all settings; another specification is built at once",
    );
    let secrets = client(
        "get",
        "/api/repositories/{owner}/{name}/secrets",
        "Secrets, without their values",
    );
    let secret = "/api/repositories/{owner}/{name}/secrets/{secret}";
    let images = "/api/repositories/{owner}/{name}/images";
    let image = client(
        "get",
        "/api/repositories/{owner}/{name}/images/{image}",
        "One image",
    );
    let log = client(
        "get",
        "/api/repositories/{owner}/{name}/images/{image}/log",
        "What the making of an image printed, from a byte on; as a stream if `Accept` says so",
    );
    let environments = "/api/repositories/{owner}/{name}/environments";
    let environment = "/api/repositories/{owner}/{name}/environments/{environment}";
    vec![
        list.answers(200, schemas.of::<RepositoryList>()),
        show.answers(200, schemas.of::<RepositoryDetail>()),
        branches
            .query("query", json!({ "type": "string", "maxLength": 255 }))
            .answers(200, schemas.of::<BranchList>()),
        settings
            .takes(schemas.of::<Settings>())
            .answers(200, schemas.of::<Settings>())
            .refuses(&["bad_settings", "bad_specification"]),
        secrets.answers(200, schemas.of::<SecretList>()),
        client("put", secret, "Sets a secret")
            .takes(schemas.of::<SetSecret>())
            .ends(204)
            .refuses(&["bad_secret", "too_many"]),
        client("delete", secret, "Removes a secret").ends(204),
        client("get", images, "The newest 50 images").answers(200, schemas.of::<ImageList>()),
        client("post", images, "Asks for an image")
            .may_take(schemas.of::<RequestImage>())
            .answers(202, schemas.of::<RequestedImage>())
            .refuses(&["bad_branch"]),
        image.answers(200, schemas.of::<Image>()),
        log.query("offset", count())
            .answers(200, schemas.of::<ImageLog>())
            .ends(204),
        client("get", environments, "Environments that the user may use")
            .answers(200, schemas.of::<EnvironmentList>()),
        client("post", environments, "Makes an environment, or changes it")
            .takes(schemas.of::<CreateEnvironment>())
            .answers(202, schemas.of::<Environment>())
            .refuses(&["bad_environment", "bad_specification", "unknown_member"]),
        client("get", environment, "One environment").answers(200, schemas.of::<Environment>()),
        client(
            "delete",
            environment,
            "Deletes an environment and its images",
        )
        .ends(204),
        client(
            "get",
            "/api/statistics/pool",
            "What warm sandboxes did and cost",
        )
        .answers(200, schemas.of::<PoolFigures>()),
    ]
}
