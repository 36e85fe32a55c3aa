//! The catalogue on storage in memory.

use super::*;
use crate::store::HostSql;
use littoral_protocol::rest::BranchPoint;

fn catalog() -> Catalog<HostSql> {
    Catalog::open(HostSql::in_memory().unwrap()).unwrap()
}

fn named(name: &str) -> CreateBody {
    CreateBody { name: name.into(), ..CreateBody::default() }
}

fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

#[test]
fn a_database_is_found_by_its_name_and_its_id() {
    let catalog = catalog();
    let made = catalog.create(&CreateBody { primary_location_hint: Some("weur".into()), ..named("shop") }, &id(1), 7).unwrap();
    assert_eq!(catalog.find("shop").unwrap(), made);
    assert_eq!(catalog.find(&id(1)).unwrap(), made);
    assert_eq!(made.body().running_in_region.as_deref(), Some("WEUR"));
    assert_eq!(catalog.find("other").unwrap_err(), Refusal::no_database("other"));
    catalog.measured(&id(1), 8_192, 3).unwrap();
    let body = catalog.find("shop").unwrap().body();
    assert_eq!((body.file_size, body.num_tables), (Some(8_192), Some(3)));
    let off = UpdateBody { read_replication: Some(ReadReplication { mode: ReplicationMode::Disabled }) };
    assert_eq!(catalog.update("shop", &off).unwrap().replication, ReplicationMode::Disabled);
    assert_eq!(catalog.update("shop", &UpdateBody::default()).unwrap().replication, ReplicationMode::Disabled);
}

#[test]
fn a_name_belongs_to_one_database_until_that_is_gone() {
    let catalog = catalog();
    catalog.create(&named("a"), &id(1), 1).unwrap();
    assert_eq!(catalog.create(&named("a"), &id(2), 2).unwrap_err().error.code, 7502);
    let going = catalog.begin_deletion("a").unwrap();
    assert_eq!(going.id, id(1));
    assert_eq!(catalog.find("a").unwrap_err().status, 404);
    assert_eq!(catalog.find(&id(1)).unwrap_err().status, 404);
    assert_eq!(catalog.begin_deletion("a").unwrap_err().status, 404);
    assert_eq!(catalog.claim("a", true, &id(2), 3), Ok(None), "its object must not come to life again");
    assert_eq!(catalog.create(&named("a"), &id(2), 2).unwrap_err().error.code, 7502);
    assert_eq!(catalog.going().unwrap(), [going]);
    assert_eq!(catalog.list(&ListQuery::parse("").unwrap()).unwrap().1.total_count, 0);
    catalog.end_deletion(&id(1)).unwrap();
    assert_eq!(catalog.create(&named("a"), &id(2), 4).unwrap().id, id(2));
    catalog.end_deletion(&id(2)).unwrap();
    assert_eq!(catalog.find("a").unwrap().id, id(2), "only what is going goes");
    assert_eq!(catalog.find(&id(1)).unwrap_err().status, 404);
}

#[test]
fn an_object_learns_which_database_it_is_and_may_create_it() {
    let catalog = catalog();
    assert_eq!(catalog.claim("a", false, &id(1), 1), Ok(None));
    let made = catalog.claim("a", true, &id(2), 2).unwrap().unwrap();
    assert_eq!((&*made.id, made.created_ms), (&*id(2), 2));
    assert_eq!(catalog.claim("a", true, &id(3), 3), Ok(Some(made.clone())));
    assert_eq!(catalog.claim("a", false, &id(3), 3), Ok(Some(made)));
}

#[test]
fn what_cannot_be_a_database_is_refused() {
    let catalog = catalog();
    let status = |body: &CreateBody| catalog.create(body, &id(1), 1).unwrap_err().status;
    for name in ["", "a\nb", &"x".repeat(257), &id(5), &id(5).to_uppercase()] {
        assert_eq!(status(&named(name)), 400, "{name:?}");
    }
    assert_eq!(status(&CreateBody { primary_location_hint: Some("moon".into()), ..named("a") }), 400);
    assert_eq!(status(&CreateBody { jurisdiction: Some("eu".into()), ..named("a") }), 400);
    assert!(catalog.create(&named("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"), &id(1), 1).is_ok(), "no id");
}

#[test]
fn questions_and_answers_travel_as_json() {
    let catalog = catalog();
    let travels = |question: &Question| serde_json::from_str::<Question>(&serde_json::to_string(question).unwrap()).unwrap();
    let answer = |question: &Question| {
        let reply = catalog.answer(travels(question), &id(1), 1);
        assert_eq!(serde_json::from_str::<Reply>(&serde_json::to_string(&reply).unwrap()).unwrap(), reply);
        reply
    };
    assert!(matches!(answer(&Question::Create(named("a"))), Reply::One(_)));
    assert_eq!(answer(&Question::Create(named("a"))), Reply::Refused(Refusal::exists("a")));
    assert!(matches!(answer(&Question::Find("a".into())), Reply::One(_)));
    assert!(matches!(answer(&Question::Update("a".into(), UpdateBody::default())), Reply::One(_)));
    assert_eq!(answer(&Question::Measured(id(1), 1, 2)), Reply::Done);
    let page = answer(&Question::List(ListQuery::parse("per_page=10").unwrap()));
    assert!(matches!(page, Reply::Page(entries, ResultInfo { total_count: 1, count: 1, .. }) if entries[0].num_tables == 2));
}

#[test]
fn a_hundred_thousand_databases_are_listed_in_pages() {
    const COUNT: u64 = 100_000;
    let catalog = catalog();
    catalog
        .sql
        .transaction(&mut || {
            for number in 0..COUNT {
                catalog.insert(&Entry { name: format!("tenant-{number}"), id: id(number), ..blank() })?;
            }
            Ok(())
        })
        .unwrap();
    let list = |query: &str| catalog.list(&ListQuery::parse(query).unwrap()).unwrap();
    let mut seen = 0;
    let mut last = String::new();
    for page in 1..=10 {
        let (entries, info) = list(&format!("per_page=10000&page={page}"));
        assert_eq!((info.total_count, entries.len()), (COUNT, 10_000));
        assert!(entries.iter().all(|entry| std::mem::replace(&mut last, entry.name.clone()) < entry.name), "in order, and each once");
        seen += info.count;
    }
    assert_eq!(seen, COUNT);
    assert_eq!(list("per_page=10000&page=11").0, []);
    assert_eq!(list("name=-9999").1.total_count, 11, "9999 and 99990 to 99999");
}

fn blank() -> Entry {
    let (name, id, region) = Default::default();
    Entry {
        name,
        id,
        created_ms: 0,
        region,
        replication: ReplicationMode::Auto,
        file_size: 0,
        num_tables: 0,
        going: false,
        branch_of: None,
    }
}

#[test]
fn a_database_stays_while_a_branch_of_it_lacks_pages() {
    let catalog = catalog();
    catalog.create(&named("shop"), &id(1), 1).unwrap();
    let point = BranchPoint { database: "shop".into(), timestamp: Some("1970-01-01T00:00:07Z".into()), ..BranchPoint::default() };
    let branch = catalog.create(&CreateBody { branch_of: Some(point.clone()), ..named("try") }, &id(2), 2).unwrap();
    let parent = ParentEntry { id: id(1), name: "shop".into(), bookmark: None, time_ms: Some(7_000), is_full: false };
    assert_eq!(branch.branch_of, Some(parent.clone()));
    assert_eq!(catalog.find("try").unwrap(), branch);
    assert_eq!(catalog.find("shop").unwrap().branch_of, None);
    catalog.begun(&id(2), "b").unwrap();
    assert_eq!(catalog.find(&id(2)).unwrap().branch_of, Some(ParentEntry { bookmark: Some("b".into()), ..parent }));
    let refused = catalog.begin_deletion("shop").unwrap_err();
    assert_eq!((refused.status, refused.error.message.contains("branches: try")), (409, true));
    catalog.full(&id(2)).unwrap();
    catalog.begin_deletion("shop").unwrap();
    catalog.end_deletion(&id(1)).unwrap();
    assert!(catalog.find("try").unwrap().branch_of.unwrap().is_full);
    let both = BranchPoint { bookmark: Some("b".into()), ..point.clone() };
    for (wrong, status) in [(both, 400), (BranchPoint { timestamp: Some("x".into()), ..point.clone() }, 400), (point, 404)] {
        assert_eq!(catalog.create(&CreateBody { branch_of: Some(wrong), ..named("other") }, &id(3), 3).unwrap_err().status, status);
    }
}

#[test]
fn a_branch_that_goes_lets_its_parent_go() {
    let catalog = catalog();
    catalog.create(&named("shop"), &id(1), 1).unwrap();
    let point = BranchPoint { database: id(1), ..BranchPoint::default() };
    catalog.create(&CreateBody { branch_of: Some(point), ..named("try") }, &id(2), 2).unwrap();
    assert_eq!(catalog.begin_deletion("try").unwrap().branch_of.unwrap().name, "shop");
    assert_eq!(catalog.begin_deletion("shop").unwrap_err().status, 409, "it has not ended");
    catalog.end_deletion(&id(2)).unwrap();
    catalog.begin_deletion("shop").unwrap();
}
