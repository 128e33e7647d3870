//! The calibration of posteriors as a picture: what was announced against what is right.

use crate::cli::page::line;
use crate::resolve::Evaluation;

/// Left, top and side of the square in the picture, in units.
const LEFT: f64 = 70.0;
const TOP: f64 = 60.0;
const SIDE: f64 = 480.0;

/// 600 × 620 units: bins as dots, the diagonal on which an honest model lies.
pub(super) fn svg(evaluation: &Evaluation) -> String {
    let x = |share: f64| LEFT + share * SIDE;
    let y = |share: f64| TOP + (1.0 - share) * SIDE;
    let mut body = String::new();
    for tenth in 0..=5_u8 {
        let share = f64::from(tenth) / 5.0;
        line(&mut body, format_args!(r#"<line x1="{LEFT}" y1="{:.1}" x2="{:.1}" y2="{:.1}" class="g"/>"#, y(share), x(1.0), y(share)));
        line(&mut body, format_args!(r#"<line x1="{:.1}" y1="{TOP}" x2="{:.1}" y2="{:.1}" class="g"/>"#, x(share), x(share), y(0.0)));
        line(
            &mut body,
            format_args!(r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{:.0} %</text>"#, LEFT - 8.0, y(share) + 4.0, share * 100.0),
        );
        line(
            &mut body,
            format_args!(r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{:.0} %</text>"#, x(share), y(0.0) + 20.0, share * 100.0),
        );
    }
    line(&mut body, format_args!(r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" class="d"/>"#, x(0.0), y(0.0), x(1.0), y(1.0)));
    let points: Vec<String> = evaluation.calibration.iter().map(|bin| format!("{:.1},{:.1}", x(bin.announced), y(bin.right))).collect();
    line(&mut body, format_args!(r#"<polyline points="{}" class="l"/>"#, points.join(" ")));
    for bin in &evaluation.calibration {
        line(
            &mut body,
            format_args!(
                r#"<circle cx="{:.1}" cy="{:.1}" r="5" class="c"><title>announced {:.1} %, right {:.1} % of {}</title></circle>"#,
                x(bin.announced),
                y(bin.right),
                bin.announced * 100.0,
                bin.right * 100.0,
                bin.count
            ),
        );
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 620" width="600" height="620" font-family="sans-serif" font-size="13">
<style>.g{{stroke:#e3e6ea}}.d{{stroke:#8a8f98;stroke-dasharray:5 4}}.l{{fill:none;stroke:#2b5f9e;stroke-width:2}}.c{{fill:#2b5f9e}}text{{fill:#1b1f24}}</style>
<rect width="600" height="620" fill="white"/>
<text x="{LEFT}" y="28" font-size="17" font-weight="bold">Do the posteriors mean what they say?</text>
<text x="{LEFT}" y="48">calibration error {:.4} over {} bins of equal count · best F1 {:.3}</text>
{body}<text x="{:.1}" y="592" text-anchor="middle">announced: posterior of the best candidate</text>
<text x="20" y="{:.1}" text-anchor="middle" transform="rotate(-90 20 {:.1})">right</text>
</svg>
"#,
        evaluation.ece,
        evaluation.calibration.len(),
        evaluation.best_f1,
        x(0.5),
        y(0.5),
        y(0.5)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bin_is_a_dot_and_no_number_is_missing() {
        let judged: Vec<crate::resolve::Judged> = (0..400_u32)
            .map(|n| crate::resolve::Judged {
                is_customer: true,
                probability: Some(f64::from(n) / 400.0),
                right: n % 3 == 0,
                among: true,
                ahead: f64::INFINITY,
                sum: 0.5,
                outcome: crate::model::Outcome::NotLinked,
                by_rule: false,
            })
            .collect();
        let picture = svg(&crate::resolve::evaluate(&judged, 400, 0.9));
        assert_eq!(picture.matches("<circle").count(), 20);
        assert!(!picture.contains("NaN") && picture.contains("calibration error"));
        assert!(svg(&crate::resolve::evaluate(&[], 0, 0.9)).contains("</svg>"));
    }
}
