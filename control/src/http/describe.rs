//! The one list of routes, from which both the router and the OpenAPI document are made.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::route::{
    audit, connectors, credentials, everything, health, integrations, people, policy, receipts, requests,
    resources, session, strays,
};
use crate::office::Office;

/// Where all of the API is.
pub(super) const BASE: &str = "/api/v1";

fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Tidegate control plane")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Requests, approvals and the agents that open and close access. Times are RFC 3339, durations are \
             seconds, problems are RFC 9457 with stable codes.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of `POST /users/{user}/tokens`"))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .components(Some(
            ComponentsBuilder::new().security_scheme("token", SecurityScheme::Http(bearer)).build(),
        ))
        .security(Some([SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]))
        .build()
}

/// Returns the routes and their description.
pub(super) fn routes() -> OpenApiRouter<Office> {
    let api = OpenApiRouter::new()
        .routes(routes!(health::health_show))
        .routes(routes!(session::session_show, session::session_end))
        .routes(routes!(session::my_key_show, session::my_key_register))
        .routes(routes!(people::user_list, people::user_create))
        .routes(routes!(people::user_show))
        .routes(routes!(people::user_roles))
        .routes(routes!(people::user_disable))
        .routes(routes!(people::user_enable))
        .routes(routes!(people::user_keys))
        .routes(routes!(people::token_list, people::token_create))
        .routes(routes!(people::token_revoke))
        .routes(routes!(connectors::connector_list, connectors::connector_create))
        .routes(routes!(connectors::connector_show))
        .routes(routes!(connectors::connector_rotate_token))
        .routes(routes!(connectors::connector_revoke))
        .routes(routes!(connectors::connector_accept_keys))
        .routes(routes!(connectors::connector_pause))
        .routes(routes!(connectors::connector_resume))
        .routes(routes!(strays::connector_standing))
        .routes(routes!(strays::stray_list))
        .routes(routes!(strays::stray_end))
        .routes(routes!(policy::driver_list))
        .routes(routes!(policy::policy_show, policy::policy_apply))
        .routes(routes!(integrations::integration_list))
        .routes(routes!(
            integrations::integration_show,
            integrations::integration_apply,
            integrations::integration_retire
        ))
        .routes(routes!(integrations::integration_check))
        .routes(routes!(integrations::integration_discover))
        .routes(routes!(integrations::integration_survey))
        .routes(routes!(resources::resource_list))
        .routes(routes!(requests::request_list, requests::request_create))
        .routes(routes!(requests::request_show))
        .routes(routes!(requests::request_approve))
        .routes(routes!(requests::request_reject))
        .routes(routes!(requests::request_revoke))
        .routes(routes!(requests::request_cancel))
        .routes(routes!(requests::request_reopen))
        .routes(routes!(everything::everything_end))
        .routes(routes!(credentials::credential_show))
        .routes(routes!(credentials::credential_rotate))
        .routes(routes!(receipts::receipt_list))
        .routes(routes!(receipts::receipt_export))
        .routes(routes!(audit::audit_list));
    OpenApiRouter::with_openapi(head()).nest(BASE, api)
}

/// Returns the OpenAPI 3.1 document, as it is committed in `control/openapi.json`.
pub fn openapi_json() -> String {
    let mut json = serde_json::to_string_pretty(routes().get_openapi()).unwrap_or_default();
    json.push('\n');
    json
}
