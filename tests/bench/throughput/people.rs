//! Customers, their orders and what people say, of any number, in constant memory: names, towns and companies are drawn as often as they
//! stand in the sample, and every row follows from the seed and its number alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::path::Path;

/// Six in ten of those who say something are customers, as in the sample.
const CUSTOMERS_AMONG_PROFILES: u64 = 60;

const NETWORKS: [&str; 7] = ["twitter", "instagram", "facebook", "linkedin", "github", "mastodon", "tiktok"];
const HOBBIES: [&str; 12] = ["coffee", "running", "football", "dogs", "books", "hiking", "music", "yoga", "art", "movies", "chess", "wine"];
const SAID: [&str; 16] = [
    "My order {n} arrived broken, third time this year",
    "still waiting for the refund on {n}!!",
    "your app logs me out every day, please fix it",
    "called support twice about {n}, nobody answers",
    "Wrong item delivered again. Order {n}.",
    "Ancora nessun rimborso per l'ordine {n}, sono passate tre settimane",
    "Shout-out to the team in the shop, so kind today",
    "delivery a day early, thank you!",
    "Servizio eccellente, grazie!",
    "Do you ship to Ireland?",
    "what are your opening hours on Sunday?",
    "Come faccio a cambiare indirizzo di consegna?",
    "new shoes day",
    "coffee and then the sales",
    "weekend plans: none",
    "reading the reviews before I buy",
];

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64, row: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.0 = random.next() ^ row;
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// What a country's rows of the sample show.
#[derive(Default)]
struct Country {
    given: Vec<String>,
    family: Vec<String>,
    cities: Vec<String>,
    companies: Vec<String>,
}

/// A person as they are.
struct Person<'a> {
    country: &'a str,
    given: &'a str,
    family: &'a str,
    city: &'a str,
    company: &'a str,
    email: String,
    phone: String,
    handle: String,
    born: String,
}

/// Everybody.
pub struct People {
    seed: u64,
    customers: u64,
    /// Countries as often as the sample's rows name them.
    weighted: Vec<String>,
    countries: BTreeMap<String, Country>,
}

fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect()
}

impl People {
    /// Reads what the sample shows.
    pub fn from_sample(path: &Path, seed: u64, customers: u64) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let mut rows = csv::Reader::from_reader(flate2::read::MultiGzDecoder::new(File::open(path)?));
        let mut people = Self { seed, customers, weighted: Vec::new(), countries: BTreeMap::new() };
        for row in rows.records() {
            let row = row?;
            people.weighted.push(row[7].to_owned());
            let country = people.countries.entry(row[7].to_owned()).or_default();
            if let [given, family] = row[1].split_whitespace().collect::<Vec<_>>()[..]
                && given.chars().all(char::is_alphabetic)
                && family.chars().all(char::is_alphabetic)
                && given.chars().nth(1).is_some_and(char::is_lowercase)
            {
                country.given.push(given.to_owned());
                country.family.push(family.to_owned());
            }
            for (list, value) in [(&mut country.companies, &row[4]), (&mut country.cities, &row[5])] {
                if !value.is_empty() {
                    list.push(value.to_owned());
                }
            }
        }
        Ok(people)
    }

    fn person(&self, number: u64) -> Person<'_> {
        let mut r = Random::new(self.seed, 1, number);
        let country = r.pick(&self.weighted).as_str();
        let of = &self.countries[country];
        let (given, family) = (r.pick(&of.given).as_str(), r.pick(&of.family).as_str());
        let (g, f) = (letters(given), letters(family));
        let year = 1940 + r.below(65);
        let n = r.below(9_999);
        let handle = match r.below(9) {
            0 => format!("{g}{f}"),
            1 => format!("{g}.{f}{n}"),
            2 => format!("{g}_{f}"),
            3 => format!("{}{f}{:02}", g.chars().next().unwrap_or('x'), year % 100),
            4 => format!("{f}{g}{n}"),
            5 | 6 => format!("{g}{f}{n}"),
            7 => format!("{g}.{f}"),
            _ => format!("{}{}{n}", r.pick(&HOBBIES), r.pick(&HOBBIES)),
        };
        let domain = r.pick(&["gmail.com", "gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "libero.it"]);
        let phone = match country {
            "US" => format!("+1{}{}{:04}", 201 + r.below(700), 200 + r.below(700), r.below(10_000)),
            "UK" => format!("+447{:09}", r.below(1_000_000_000)),
            _ => format!("+393{}{:07}", 20 + r.below(79), r.below(10_000_000)),
        };
        Person {
            country,
            given,
            family,
            city: r.pick(&of.cities).as_str(),
            company: r.pick(&of.companies).as_str(),
            email: format!("{g}.{f}{}@{domain}", r.below(10_000)),
            phone,
            handle,
            born: format!("{year}-{:02}-{:02}", 1 + r.below(12), 1 + r.below(28)),
        }
    }

    /// Writes `customers.csv`, `orders.csv`, `activities.ndjson` with about so many activities, and `none.ndjson` without any.
    pub fn write(&self, dir: &Path, activities: u64) -> Result<()> {
        let file = |name: &str| Ok::<_, std::io::Error>(BufWriter::new(File::create(dir.join(name))?));
        let (mut crm, mut orders) = (file("customers.csv")?, file("orders.csv")?);
        writeln!(crm, "customer_id,name,email,phone,company,city,postcode,country,birth_date,known_handles,segment")?;
        writeln!(orders, "order_number,customer_id,ordered_on,total,currency,status")?;
        let mut order = 100_000;
        for number in 0..self.customers {
            order = self.customer(number, order, &mut crm, &mut orders)?;
        }
        crm.flush()?;
        orders.flush()?;
        file("none.ndjson")?.flush()?;
        let mut out = file("activities.ndjson")?;
        let (mut written, mut profile) = (0, 0);
        while written < activities {
            written += self.profile(profile, written, &mut out)?;
            profile += 1;
        }
        out.flush()
    }

    fn customer(&self, number: u64, mut order: u64, crm: &mut impl Write, orders: &mut impl Write) -> Result<u64> {
        let p = self.person(number);
        let mut r = Random::new(self.seed, 2, number);
        let mut kept = |share: u64, value: &str| if r.percent(share) { value.to_owned() } else { String::new() };
        let (email, phone, company, city) = (kept(72, &p.email), kept(62, &p.phone), kept(45, p.company), kept(88, p.city));
        let (born, handle) = (kept(60, &p.born), kept(8, &format!("{}:@{}", NETWORKS[number as usize % NETWORKS.len()], p.handle)));
        let segment = match r.below(10) {
            0 => "gold",
            1..4 => "silver",
            _ => "standard",
        };
        let name = match r.below(20) {
            0 => format!("\"{}, {}\"", p.family, p.given),
            1 => format!("{} {}", p.given, p.family).to_uppercase(),
            _ => format!("{} {}", p.given, p.family),
        };
        writeln!(crm, "C{number:09},{name},{email},{phone},\"{company}\",\"{city}\",,{},{born},{handle},{segment}", p.country)?;
        for _ in 0..r.below(3) {
            order += 1;
            writeln!(orders, "{order},C{number:09},2026-0{}-1{},{}.95,EUR,delivered", 1 + r.below(9), r.below(10), 10 + r.below(200))?;
        }
        Ok(order)
    }

    /// What one account says: one to four posts, some of them edited, deleted or sent twice later, some of them direct messages.
    fn profile(&self, number: u64, before: u64, out: &mut impl Write) -> Result<u64> {
        let mut r = Random::new(self.seed, 3, number);
        // Strangers are people behind the last customer.
        let whose = if r.percent(CUSTOMERS_AMONG_PROFILES) { r.below(self.customers) } else { self.customers + number };
        let p = self.person(whose);
        let network = NETWORKS[whose as usize % NETWORKS.len()];
        let name = match r.below(10) {
            0 => p.given.to_owned(),
            1 => format!("{} {}.", p.given, p.family.chars().next().unwrap_or('X')),
            2 => p.handle.clone(),
            _ => format!("{} {}", p.given, p.family),
        };
        let handle = if r.percent(65) { p.handle.clone() } else { format!("{}{}", letters(&p.handle), r.below(9_999)) };
        let mut bio: Vec<String> = (0..r.below(3)).map(|_| (*r.pick(&HOBBIES)).to_owned()).collect();
        for (share, text) in [(11, p.email.clone()), (8, p.phone.clone()), (15, format!("@ {}", p.company))] {
            if r.percent(share) {
                bio.push(text);
            }
        }
        let host = format!("https://{network}.example");
        let actor = serde_json::json!({ "type": "Person", "id": format!("{host}/users/P{number:09}"), "preferredUsername": handle, "name": name,
            "summary": bio.join(" | "), "location": if r.percent(70) { serde_json::json!({ "type": "Place", "name": p.city }) } else { serde_json::Value::Null } });
        let mut lines = 0;
        for post in 0..[1, 1, 1, 1, 2, 2, 2, 3, 3, 4][r.below(10) as usize] {
            let id = before + post * 7 + number * 31;
            let at = |hour: u64| format!("2026-{:02}-{:02}T{:02}:{:02}:00Z", 1 + id % 9, 1 + id / 9 % 28, hour, id % 60);
            let to = if r.percent(4) { format!("{host}/users/brand") } else { "https://www.w3.org/ns/activitystreams#Public".to_owned() };
            let object = format!("{host}/notes/{number}-{post}");
            let said = r.pick(&SAID).replace("{n}", &(100_000 + r.below(900_000)).to_string());
            let activity = |verb: &str, text: &str, hour: u64| {
                let mut object = serde_json::json!({ "type": "Note", "id": object, "url": format!("{host}/@{handle}/{number}-{post}"), "content": text,
                    "published": at(8), "attributedTo": actor["id"] });
                match verb {
                    "Update" => object["updated"] = at(hour).into(),
                    "Delete" => object = serde_json::json!({ "type": "Tombstone", "id": object["id"], "deleted": at(hour) }),
                    _ => {}
                }
                serde_json::json!({ "@context": "https://www.w3.org/ns/activitystreams", "type": verb, "generator": network, "actor": actor,
                    "id": format!("{host}/activities/{number}-{post}-{verb}"), "published": at(hour), "to": [to], "object": object })
            };
            let create = activity("Create", &said, 8).to_string();
            writeln!(out, "{create}")?;
            lines += 1;
            match r.below(100) {
                0..3 => writeln!(out, "{}", activity("Update", &format!("{said} (edited)"), 9)).map(|()| lines += 1)?,
                3..5 => writeln!(out, "{}", activity("Delete", "", 10)).map(|()| lines += 1)?,
                5 => writeln!(out, "{create}")?,
                _ => {}
            }
        }
        Ok(lines)
    }
}
