"""The contenders' epochs as a chart."""

OURS_COLOR, OTHERS_COLOR, INK = "#0072B2", "#c4cad0", "#1f2328"  # those of aifs-plotting


def draw(ratios, ours, file):
    """Draw a panel for each task.

    Parameters
    ----------
    ratios : dict of str to dict of str to float
        By task and contender the time of an epoch, as a multiple of the hand-written loop's.
    ours : str
        The contender that stands out.
    file : Path
        What to write; the ending says which format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(ratios), sharey=True), ratios.items(), strict=True):
        names = list(values)[::-1]
        colors = [OURS_COLOR if name == ours else OTHERS_COLOR for name in names]
        bars = axes.barh(names, [values[name] for name in names], color=colors)
        axes.axvline(1, color=INK, linewidth=0.8, zorder=0.5)  # behind the bars
        for label in axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=8, color=INK):
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
        axes.set_title(title, fontsize=9.5, loc="left", color=INK)
        axes.tick_params(labelsize=8.5, length=0, colors=INK)
        axes.margins(x=0.15)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.supxlabel("time of an epoch, hand-written loop = 1", fontsize=9, color=INK)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150)
