"""Draws CPU per request as bars: one group for each kind of traffic, one bar for each proxy."""

COLOURS = ["#9aa5b1", "#6c8ebf", "#b3a369", "#82b366", "#b85450", "#d79b00"]
BAR, GAP, HEIGHT, LEFT, TOP = 14, 18, 260, 60, 40


def plot(rows):
    """An SVG of the rows of the table that have CPU to show."""
    rows = [row for row in rows if row["proxy"] != "direct" and row["ratio"] is not None]
    names = list(dict.fromkeys(row["proxy"] for row in rows))
    groups = {}
    for row in rows:
        label = f"{row['kind']} {row['size'] // 1024}K c{row['connections']}"
        groups.setdefault(label, []).append(row)
    width = LEFT + len(groups) * (len(names) * BAR + GAP) + 20
    most = max((row["ratio"] for row in rows), default=1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + TOP + 110}" '
           'font-family="sans-serif" font-size="11">',
           '<text x="10" y="16">CPU per request, times a bare Pingora pass-through</text>']
    for step in range(int(most) + 1):
        y = TOP + HEIGHT * (1 - step / most)
        out.append(f'<path d="M{LEFT} {y:.1f}H{width}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y + 4:.1f}" '
                   f'text-anchor="end">{step}</text>')
    x = LEFT + 6
    for label, same in groups.items():
        for row in same:
            tall = HEIGHT * row["ratio"] / most
            left = x + names.index(row["proxy"]) * BAR
            out.append(f'<rect x="{left}" y="{TOP + HEIGHT - tall:.1f}" width="{BAR - 2}" height="{tall:.1f}" '
                       f'fill="{COLOURS[names.index(row["proxy"]) % len(COLOURS)]}"><title>{row["proxy"]}: '
                       f'{row["ratio"]:.2f}</title></rect>')
        out.append(f'<text transform="translate({x + 8},{TOP + HEIGHT + 8}) rotate(50)">{label}</text>')
        x += len(names) * BAR + GAP
    for index, name in enumerate(names):
        out.append(f'<rect x="{LEFT + 140 * index}" y="22" width="10" height="10" fill="{COLOURS[index % len(COLOURS)]}"/>'
                   f'<text x="{LEFT + 140 * index + 14}" y="31">{name}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
