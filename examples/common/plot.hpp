#pragma once
// SPDX-FileCopyrightText: 2026 The promptdistill authors
// SPDX-License-Identifier: Apache-2.0
//
// Curves as a gnuplot script with the numbers in it, and as SVG.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "examples/common/process.hpp"
#include "examples/common/units.hpp"
#include "examples/common/write_file.hpp"

namespace promptdistill::examples {

/// One picture: curves over a common axis.
struct Plot {
  struct At {
    double x, y, low, high;  // low and high: quartiles, or y
  };
  struct Curve {
    std::string name;
    std::vector<At> points;
  };

  std::string file, title, x_label, y_label;
  std::vector<double> ticks = {};  // of x; none: gnuplot chooses
  bool logarithmic_x = false;
  bool logarithmic_y = false;
  std::vector<Curve> curves = {};
};

namespace detail {

/// In a gnuplot string of single quotes.
inline std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

// Okabe and Ito's colours, which colour-blind people tell apart, without yellow, which is too pale
// for lines; dashes and marks tell what shares a colour.
inline constexpr const char* kPlotHead =
    R"(# gnuplot plots.gp, in this folder, draws the pictures anew.
set encoding utf8
set border 3 linecolor rgb '#5b636d'
set tics nomirror out scale 0.6
set grid ytics linetype 1 linewidth 0.6 linecolor rgb '#dde1e6'
set bars 0.5
array colours[7] = [0x000000, 0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0x56B4E9, 0xE69F00]
array marks[7] = [7, 5, 9, 11, 13, 6, 4]
)";

/// gnuplot's own choice, or a range about the one number there is, which it would warn of.
inline std::string range_of(const Plot& plot, double Plot::At::*number) {
  double least = INFINITY, most = -INFINITY;
  for (const Plot::Curve& curve : plot.curves) {
    for (const Plot::At& at : curve.points) {
      least = std::min(least, at.*number);
      most = std::max(most, at.*number);
    }
  }
  if (least != most) return "[*:*]";
  return least == 0 ? "[0:1]"
                    : fmt::format("[{}:{}]", std::min(least / 2, least * 2),
                                  std::max(least / 2, least * 2));
}

inline std::string script_of(const Plot& plot) {
  std::string out = "\n";
  for (std::size_t c = 0; c < plot.curves.size(); ++c) {
    out += fmt::format("$curve{} << EOD\n", c);
    for (const Plot::At& at : plot.curves[c].points)
      out += fmt::format("{} {} {} {}\n", at.x, at.y, at.low, at.high);
    out += "EOD\n";
  }
  // Long names stand below the curves, which keep their width.
  const bool below = std::any_of(plot.curves.begin(), plot.curves.end(),
                                 [](const Plot::Curve& curve) { return curve.name.size() > 28; });
  out += fmt::format(
      "set terminal svg size 960,{} background rgb 'white' font 'sans-serif,15' noenhanced\n"
      "set key {} Left reverse spacing 1.25 samplen 3\n",
      below ? 520 + 24 * plot.curves.size() : 520,
      below ? "outside bottom center vertical maxcols 1" : "outside right center maxcols auto");
  out +=
      fmt::format("set output {}\nset title {}\nset xlabel {}\nset ylabel {}\n", quoted(plot.file),
                  quoted(plot.title), quoted(plot.x_label), quoted(plot.y_label));
  if (plot.logarithmic_y) {
    out += fmt::format("set logscale y 2\nset yrange {}\n",  // halves and doubles
                       range_of(plot, &Plot::At::y));
  } else {
    out += "unset logscale y\n";
    out += range_of(plot, &Plot::At::high) == "[0:1]" ? "set yrange [0:1]\n" : "set yrange [0:*]\n";
  }
  if (plot.ticks.empty()) {
    out += plot.logarithmic_x ? "set logscale x\n" : "unset logscale x\n";
    out += fmt::format("set xrange {}\nset xtics autofreq\n", range_of(plot, &Plot::At::x));
  } else {
    const auto [least, most] = std::minmax_element(plot.ticks.begin(), plot.ticks.end());
    out += plot.logarithmic_x
               ? fmt::format("set logscale x\nset xrange [{}:{}]\n", *least / 1.15, *most * 1.15)
               : fmt::format("unset logscale x\nset xrange [{}:{}]\n", *least - 0.5, *most + 0.5);
    std::string ticks;
    for (const double tick : plot.ticks)
      ticks +=
          fmt::format("{}'{}' {}", ticks.empty() ? "" : ", ", grouped(std::llround(tick)), tick);
    out += fmt::format("set xtics ({})\n", ticks);
  }
  out += "plot ";
  for (std::size_t c = 0; c < plot.curves.size(); ++c) {
    const std::string style =
        fmt::format("linecolor rgb colours[{0}] pointtype marks[{0}] pointsize 0.7", c % 7 + 1);
    const auto add = [&](const std::string& curve) {
      out += out.ends_with("plot ") ? curve : ", \\\n     " + curve;
    };
    if (std::any_of(plot.curves[c].points.begin(), plot.curves[c].points.end(),
                    [](const Plot::At& at) { return at.low != at.high; }))
      add(fmt::format("$curve{} using 1:2:3:4 with yerrorbars notitle {} linewidth 1", c, style));
    add(fmt::format("$curve{} using 1:2 with linespoints title {} {} linewidth 2 dashtype {}", c,
                    quoted(plot.curves[c].name), style, c / 7 + 1));
  }
  return out + "\n";
}

}  // namespace detail

/// Writes FOLDER/plots.gp and runs gnuplot on it. Returns the SVG files' names, or none and a
/// `problem` where gnuplot is missing or fails.
inline std::vector<std::string> write_plots(const std::vector<Plot>& plots,
                                            const std::filesystem::path& folder,
                                            std::string& problem) {
  std::string script = detail::kPlotHead;
  std::vector<std::string> names;
  for (const Plot& plot : plots) {
    script += detail::script_of(plot);
    names.push_back(plot.file);
  }
  script += "unset output\n";
  write_file(folder / "plots.gp", script);
  const auto run = run_process({"gnuplot", "plots.gp"}, folder);
  if (run && run->code == 0) return names;
  problem = run ? fmt::format("gnuplot ended with {}: no plots are drawn", run->code)
                : "gnuplot is not installed: no plots are drawn (Debian: gnuplot-nox). With it, "
                  "the same command draws them and measures nothing again";
  return {};
}

}  // namespace promptdistill::examples
