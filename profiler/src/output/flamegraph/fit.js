"use strict";
// Replaces the function of inferno's script that fits names into boxes. That one counts UTF-16 units: it cuts
// letters beyond the basic plane in half, and lets wide ones run into the next box.
var WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{10000}-\u{10ffff}]/u;
function columns_of(c) {
    return WIDE.test(c) ? 2 : 1;
}
// As much of a text as fits, with an ellipsis for the rest; nothing where it would not help.
function fit(text, columns) {
    if (columns < 3) return "";
    var used = 0, kept = 0, fits = "";
    for (var c of text) {
        used += columns_of(c);
        if (used > columns) return fits.substring(0, kept) + "\u2026";
        fits += c;
        if (used < columns) kept = fits.length;
    }
    return text;
}
function update_text_for_elements(elements) {
    var column = known_font_width || fontsize * 0.62;
    var width = frames.attributes.width.value;
    // All reads before all writes: a browser lays out anew at the first read after a write.
    var changes = Array.from(elements, function(e) {
        var rect = find_child(e, "rect").attributes;
        var name = g_to_text(e).replace(/ \([^(]*\)$/, "");
        var x = format_percent(parseFloat(rect.x.value) + 100 * 3 / width);
        var room = Math.floor((parseFloat(rect.width.value) * width / 100 - 5) / column);
        return [find_child(e, "text"), x, fit(name, room)];
    });
    changes.forEach(function(change) {
        change[0].attributes.x.value = change[1];
        change[0].textContent = change[2];
    });
}
