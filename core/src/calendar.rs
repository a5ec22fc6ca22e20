//! Days since 1970-01-01 as dates, and back: the Gregorian calendar, in UTC, all the way back.

/// Days from 0000-03-01, where a year of the calculation begins, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats itself.
const CYCLE_DAYS: i64 = 146_097;

/// Year, month and day of a day since 1970-01-01. Months are counted from March, so that the odd day is the last one.
#[must_use]
pub fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(EPOCH_DAYS);
    let cycle = days.div_euclid(CYCLE_DAYS);
    let day = days.rem_euclid(CYCLE_DAYS);
    let year_of_cycle = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_cycle.saturating_add(cycle.saturating_mul(400)).saturating_add(i64::from(month <= 2));
    (year, month, day_of_month)
}

/// Days since 1970-01-01 of a date; the year is within some hundred million.
#[must_use]
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle.saturating_mul(CYCLE_DAYS).saturating_add(day_of_cycle).saturating_sub(EPOCH_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_known_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_780, (2026, 11, 23)),
            (-719_468, (0, 3, 1)),
        ] {
            assert_eq!(date_of(days), date, "{days}");
            assert_eq!(days_of(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn every_day_of_eight_hundred_years_is_found_again() {
        for days in -146_097..146_097 {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
    }
}
