"""What a matplotlib figure shows, as data.

    {"type": "line" | "scatter" | "bar" | "pie" | "box_and_whisker" | "superchart" | "unknown",
     "title", "x_label", "y_label": text, "x_unit", "y_unit": text or null (what the label has in brackets),
     "elements": [...]}

The elements are flat, as Nullspace has them; what E2B's charts have besides rides along in keys of its own.

| type | an element |
|---|---|
| `line`, `scatter` | `x`, `y`, `group` (null for the only series, without a label) |
| `bar` | `label`, `value`, `group` |
| `pie` | `label`, `value` (per cent of the circle), `group`; `angle` (degrees), `radius` |
| `box_and_whisker` | `label`, `min`, `q1`, `median`, `q3`, `max`, `group`; `outliers` |
| `superchart` | a chart, one for each of the figure's axes |
| `unknown` | none: images, surfaces, contours, polar and 3-D axes |

Lines and scatters have `x_scale`, `x_ticks`, `x_tick_labels` too, and the same for y; bars and boxes `orientation`,
which is vertical or horizontal.

Axes that mix kinds are the first of pie, boxes and bars, and of lines and points what there is more of. `group` is an
artist's label; without labels it is `default` or null for the only one, and the number of each of several.

Values are JSON: dates are ISO 8601 without a zone, categories their names, NaN and what is masked null. A series has at
most MAX_ELEMENTS elements, a figure MAX_TOTAL, evenly chosen; then the chart says `"truncated": true` and the number of
all in `total_elements`. Only attributes of artists are read: nothing is drawn, and no data is copied as a whole.
"""

MAX_ELEMENTS = 1_000
MAX_TOTAL = 5_000
MAX_AXES = 50
