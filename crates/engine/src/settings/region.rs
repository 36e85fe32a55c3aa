//! Regions: where replica objects live. They are Cloudflare's location hints, and the nearest one to a request is chosen.
//!
//! Source of the hints: <https://developers.cloudflare.com/durable-objects/reference/data-location/#provide-a-location-hint>. A hint is a wish:
//! the runtime places the object near it.
//!
//! **Not here:** which regions a database allows (`settings`).

use serde::{Deserialize, Serialize};

/// A location hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// Western North America.
    Wnam,
    /// Eastern North America.
    Enam,
    /// South America.
    Sam,
    /// Western Europe.
    Weur,
    /// Eastern Europe.
    Eeur,
    /// Asia-Pacific.
    Apac,
    /// North-east Asia.
    ApacNe,
    /// South-east Asia.
    ApacSe,
    /// Oceania.
    Oc,
    /// Africa.
    Afr,
    /// Middle East.
    Me,
}

/// Where a request arrived, as far as Cloudflare says: fields of `request.cf`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Location {
    /// The data centre, three letters: `LHR`.
    pub colo: Option<[u8; 3]>,
    /// Two letters: `EU`.
    pub continent: Option<[u8; 2]>,
    /// Degrees north and east.
    pub coordinates: Option<(f64, f64)>,
}

impl Region {
    /// All of them.
    pub const ALL: [Region; 11] = [
        Region::Wnam,
        Region::Enam,
        Region::Sam,
        Region::Weur,
        Region::Eeur,
        Region::Apac,
        Region::ApacNe,
        Region::ApacSe,
        Region::Oc,
        Region::Afr,
        Region::Me,
    ];

    /// The hint, as the runtime takes it.
    pub const fn hint(self) -> &'static str {
        match self {
            Region::Wnam => "wnam",
            Region::Enam => "enam",
            Region::Sam => "sam",
            Region::Weur => "weur",
            Region::Eeur => "eeur",
            Region::Apac => "apac",
            Region::ApacNe => "apac-ne",
            Region::ApacSe => "apac-se",
            Region::Oc => "oc",
            Region::Afr => "afr",
            Region::Me => "me",
        }
    }

    /// The region of a hint.
    pub fn from_hint(hint: &str) -> Option<Region> {
        Region::ALL.into_iter().find(|region| region.hint() == hint)
    }

    /// As `meta.served_by_region` says it: in capitals, like D1.
    pub const fn name(self) -> &'static str {
        match self {
            Region::Wnam => "WNAM",
            Region::Enam => "ENAM",
            Region::Sam => "SAM",
            Region::Weur => "WEUR",
            Region::Eeur => "EEUR",
            Region::Apac => "APAC",
            Region::ApacNe => "APAC-NE",
            Region::ApacSe => "APAC-SE",
            Region::Oc => "OC",
            Region::Afr => "AFR",
            Region::Me => "ME",
        }
    }

    /// Degrees north and east of a place in the middle of the region's data centres.
    const fn middle(self) -> (f64, f64) {
        match self {
            Region::Wnam => (37.4, -122.1),
            Region::Enam => (39.0, -77.5),
            Region::Sam => (-23.5, -46.6),
            Region::Weur => (50.1, 4.4),
            Region::Eeur => (52.2, 21.0),
            Region::Apac => (22.3, 114.2),
            Region::ApacNe => (35.7, 139.7),
            Region::ApacSe => (1.3, 103.8),
            Region::Oc => (-33.9, 151.2),
            Region::Afr => (-26.2, 28.0),
            Region::Me => (25.2, 55.3),
        }
    }

    /// The region that Cloudflare's continent stands for, where coordinates are not known.
    fn of_continent(continent: [u8; 2]) -> Option<Region> {
        match &continent {
            b"NA" => Some(Region::Enam),
            b"SA" => Some(Region::Sam),
            b"EU" => Some(Region::Weur),
            b"AS" => Some(Region::Apac),
            b"OC" | b"AN" => Some(Region::Oc),
            b"AF" => Some(Region::Afr),
            _ => None,
        }
    }

    /// The nearest of the regions `allowed`. `None`: the location is not known, or nothing is allowed.
    pub fn nearest(location: &Location, allowed: &[Region]) -> Option<Region> {
        let place = location.coordinates.or_else(|| location.continent.and_then(Region::of_continent).map(Region::middle))?;
        allowed.iter().copied().min_by(|a, b| distance(place, a.middle()).total_cmp(&distance(place, b.middle())))
    }
}

/// How far apart two places are on the sphere, as the square of the chord: it grows with the distance.
fn distance(a: (f64, f64), b: (f64, f64)) -> f64 {
    let point = |(north, east): (f64, f64)| {
        let (north, east) = (north.to_radians(), east.to_radians());
        [north.cos() * east.cos(), north.cos() * east.sin(), north.sin()]
    };
    point(a).iter().zip(point(b)).map(|(a, b)| (a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(north: f64, east: f64) -> Option<Region> {
        Region::nearest(&Location { coordinates: Some((north, east)), ..Location::default() }, &Region::ALL)
    }

    #[test]
    fn cities_are_in_the_region_that_one_expects() {
        for (city, north, east, region) in [
            ("London", 51.5, -0.1, Region::Weur),
            ("Madrid", 40.4, -3.7, Region::Weur),
            ("Warsaw", 52.2, 21.0, Region::Eeur),
            ("Helsinki", 60.2, 24.9, Region::Eeur),
            ("New York", 40.7, -74.0, Region::Enam),
            ("Seattle", 47.6, -122.3, Region::Wnam),
            ("Bogota", 4.7, -74.1, Region::Enam),
            ("Buenos Aires", -34.6, -58.4, Region::Sam),
            ("Tokyo", 35.7, 139.7, Region::ApacNe),
            ("Jakarta", -6.2, 106.8, Region::ApacSe),
            ("Hong Kong", 22.3, 114.2, Region::Apac),
            ("Auckland", -36.8, 174.8, Region::Oc),
            ("Nairobi", -1.3, 36.8, Region::Afr),
            ("Dubai", 25.3, 55.3, Region::Me),
        ] {
            assert_eq!(near(north, east), Some(region), "{city}");
        }
    }

    #[test]
    fn every_hint_is_covered_and_reads_back() {
        for region in Region::ALL {
            let (north, east) = region.middle();
            assert_eq!(near(north, east), Some(region));
            assert_eq!(Region::from_hint(region.hint()), Some(region));
        }
        assert_eq!(Region::from_hint("mars"), None);
    }

    #[test]
    fn a_continent_is_enough_and_nothing_is_nowhere() {
        let location = Location { continent: Some(*b"EU"), ..Location::default() };
        assert_eq!(Region::nearest(&location, &Region::ALL), Some(Region::Weur));
        assert_eq!(Region::nearest(&location, &[Region::Oc, Region::Enam]), Some(Region::Enam));
        assert_eq!(Region::nearest(&location, &[]), None);
        assert_eq!(Region::nearest(&Location::default(), &Region::ALL), None);
    }
}
