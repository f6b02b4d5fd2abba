//! Opening a sealed credential with the key in this person's folder.

use model::{AccessId, Secret};
use seal::credential::open_credential;
use seal::hpke::SealFault;
use serde_json::Value;

use crate::api::{Api, Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::home::{Home, Settings};
use crate::shape::Credential;

/// A credential and its clear text.
pub(crate) struct Opened {
    pub(crate) credential: Credential,
    pub(crate) clear: Secret,
}

/// Reads the sealed credential of an access.
///
/// # Errors
/// What the server says.
pub(crate) async fn sealed(api: &Api, access: &AccessId) -> Result<(Credential, Value), Fault> {
    let what = format!("get the credential of {access}");
    let answer = api.call(Call::get(&["requests", access.as_str(), "credential"], &what)).await?;
    Ok((read(answer.clone(), &what)?, answer))
}

/// Opens a credential. It must be bound to the person who logged in: what was sealed for somebody else does
/// not open here, whatever the server says.
///
/// # Errors
/// When there is no key here, or it does not open.
pub(crate) fn open(
    home: &Home,
    settings: &Settings,
    access: &AccessId,
    credential: Credential,
) -> Result<Opened, Fault> {
    let what = format!("open the credential of {access}");
    if credential.grantee.as_str() != settings.user {
        let why = format!("it is sealed for {} and this login is {}", credential.grantee, settings.user);
        return Err(Fault::new(Exit::Denied, what, why).or("log in as the grantee"));
    }
    let anew = format!(
        "if that key is lost, run: tidegatectl credential {access} --rotate (the password that is set now stops)"
    );
    let Some(key) = home.key()? else {
        return Err(Fault::new(Exit::Failed, what, "there is no key in this folder").or("log in again"));
    };
    match open_credential(&key, &credential.sealed, credential.account, &credential.grantee) {
        Ok(clear) => Ok(Opened { credential, clear }),
        Err(fault @ SealFault::OtherKey { .. }) => {
            Err(Fault::new(Exit::Failed, what, fault.to_string()).or(anew))
        }
        Err(fault) => Err(Fault::new(Exit::Failed, what, fault.to_string())
            .or(format!("it was changed on its way or is not for this access; {anew}"))),
    }
}
