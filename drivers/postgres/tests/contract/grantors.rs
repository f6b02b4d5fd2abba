//! Memberships that others gave, too: from 16 on each grantor has a row of its own, with options of its own.

use crate::admin::ident;
use crate::attacks::{orders, version};
use crate::people::{Grantee, House, outcome, set};

const SEVERAL: u32 = 160_000;

pub(crate) async fn all(house: &House) {
    what_is_given(house).await;
    if !house.world.narrow().await.unwrap() {
        rows_of_other_grantors(house).await;
    }
}

/// Returns what an account is a member of: role, and from 16 on the options and whether we gave it.
async fn rows(house: &House, grantee: &Grantee) -> Vec<String> {
    let options = if version(house).await >= SEVERAL {
        "concat_ws(' ', m.roleid::regrole, CASE WHEN m.inherit_option THEN 'inherits' END, \
         CASE WHEN m.set_option THEN 'sets' END, CASE WHEN m.admin_option THEN 'gives' END, 'by', m.grantor::regrole)"
    } else {
        "m.roleid::regrole::text"
    };
    let query = format!(
        "SELECT {options} FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = '{}' ORDER BY 1",
        grantee.account.name.0
    );
    house.admin("postgres").await.column(&query).await.unwrap()
}

async fn what_is_given(house: &House) {
    let ann = house.grantee("given", &[orders()]).await;
    let role = house.world.permission_roles(&ann.account.name.0).await.unwrap().remove(0);
    let us = house.world.admin_name();
    let expected = if version(house).await >= SEVERAL {
        vec![format!("tidegate_managed by {us}"), format!("{role} inherits by {us}")]
    } else {
        vec!["tidegate_managed".to_owned(), role.clone()]
    };
    assert_eq!(rows(house, &ann).await, expected);
    house.target.grant(&ann.account, &set(&[orders()])).await.unwrap();
    assert_eq!(rows(house, &ann).await, expected, "the same order again");
    house.close(&ann).await;
}

/// Another admin gives the same membership with more to it. The order takes that back and keeps ours; the
/// close takes every row.
async fn rows_of_other_grantors(house: &House) {
    let ann = house.grantee("several", &[orders()]).await;
    let account = ident(&ann.account.name.0);
    let role = house.world.permission_roles(&ann.account.name.0).await.unwrap().remove(0);
    let admin = house.admin("postgres").await;
    admin
        .run(&format!("CREATE ROLE second_admin; GRANT {role} TO second_admin WITH ADMIN OPTION"))
        .await
        .unwrap();
    let by_another =
        format!("SET ROLE second_admin; GRANT {role} TO {account} WITH ADMIN OPTION; RESET ROLE");
    let before = rows(house, &ann).await;
    admin.run(&by_another).await.unwrap();
    let several = version(house).await >= SEVERAL;
    assert_eq!(rows(house, &ann).await.len(), before.len() + usize::from(several));
    let line = house.line(&ann, "app").await;
    assert_eq!(outcome(&line, &format!("SET ROLE {role}; RESET ROLE")).await, "ok", "by the other's row");
    let excess = house.seen(&ann).await.excess;
    assert!(excess.iter().any(|what| what.contains("may give membership")), "{excess:?}");
    assert_eq!(excess.iter().any(|what| what.contains("may act as")), several, "{excess:?}");

    house.target.grant(&ann.account, &set(&[orders()])).await.unwrap();
    assert_eq!(rows(house, &ann).await, before, "only ours is left");
    assert_eq!(house.seen(&ann).await.excess, Vec::<String>::new());
    if several {
        assert_eq!(
            outcome(&line, &format!("SET ROLE {role}")).await,
            "42501",
            "and in the open session, too"
        );
    }
    admin.run(&by_another).await.unwrap();
    drop(line);
    house.close(&ann).await;
    assert_eq!(rows(house, &ann).await.len(), 1, "all rows but that of the common role are gone");
    admin.run(&format!("REVOKE {role} FROM second_admin; DROP ROLE second_admin")).await.unwrap();
}
