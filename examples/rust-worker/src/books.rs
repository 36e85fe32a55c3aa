//! The books in the database, through Littoral's binding.
//!
//! **Not here:** HTTP.

use crate::{Author, Book, NewBook};
use littoral::client::{D1DatabaseSession, Error};

/// Every column of a [`Book`].
pub const BOOKS: &str = "SELECT id, title, author, pages, page, finished_at, \
    (SELECT count(*) FROM sittings WHERE book_id = books.id) AS sittings FROM books";

/// Every column of an [`Author`].
pub const AUTHORS: &str = "SELECT author, count(*) AS books, count(finished_at) AS finished, sum(page) AS pages_read \
    FROM books GROUP BY author ORDER BY author";

pub const INSERT: &str = "INSERT INTO books (title, author, pages) VALUES (?, ?, ?)";

pub async fn all(db: &D1DatabaseSession) -> Result<Vec<Book>, Error> {
    db.prepare(format!("{BOOKS} ORDER BY author, title")).all().await?.results()
}

pub async fn find(db: &D1DatabaseSession, id: i64) -> Result<Option<Book>, Error> {
    db.prepare(format!("{BOOKS} WHERE id = ?")).bind((id,))?.first(None).await
}

pub async fn by_author(db: &D1DatabaseSession) -> Result<Vec<Author>, Error> {
    db.prepare(AUTHORS).all().await?.results()
}

/// Adds all of the books, or none; their ids.
pub async fn add(db: &D1DatabaseSession, new: &[NewBook]) -> Result<Vec<i64>, Error> {
    let insert = db.prepare(INSERT);
    let statements: Result<Vec<_>, _> = new.iter().map(|book| insert.bind((&book.title, &book.author, book.pages))).collect();
    let results = db.batch(statements?).await?;
    Ok(results.iter().map(|result| result.meta().last_row_id).collect())
}

/// Notes a sitting and the page reached, in one transaction. `None` where there is no such book or the page is not further on in it.
pub async fn sit(db: &D1DatabaseSession, id: i64, to_page: i64) -> Result<Option<Book>, Error> {
    let note = "INSERT INTO sittings (book_id, from_page, to_page) \
        SELECT id, page, ?2 FROM books WHERE id = ?1 AND page < ?2 AND ?2 <= pages";
    let reach = "UPDATE books SET page = ?2, finished_at = CASE WHEN ?2 = pages THEN CURRENT_TIMESTAMP END \
        WHERE id = ?1 AND page < ?2 AND ?2 <= pages";
    let read = format!("{BOOKS} WHERE id = ?1 AND page = ?2");
    let [_, reached, book] = &db
        .batch(vec![db.prepare(note).bind((id, to_page))?, db.prepare(reach).bind((id, to_page))?, db.prepare(read).bind((id, to_page))?])
        .await?[..]
    else {
        return Ok(None);
    };
    Ok(if reached.meta().changes == 0 { None } else { book.results()?.pop() })
}

/// Whether there was such a book.
pub async fn remove(db: &D1DatabaseSession, id: i64) -> Result<bool, Error> {
    Ok(db.prepare("DELETE FROM books WHERE id = ?").bind((id,))?.run().await?.meta().changes > 0)
}
