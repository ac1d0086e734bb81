// SPDX-License-Identifier: Apache-2.0
//
// Pages under version control that hold what was measured.
#pragma once

#include <string>
#include <string_view>

namespace synfin::netsim {

/// Whether `--update` was on the command line: pages are then written instead of compared.
bool updating();
void set_updating();

/// The page as it is in the sources; empty: there is none.
std::string read_page(std::string_view name);
/// Fails the running test, with the lines that differ and what to do about it, where the page is not `text`;
/// writes it when updating.
void hold_page(std::string_view name, const std::string& text);
/// The same for one line of the page, where there was no time for the others.
void hold_line(std::string_view name, const std::string& line);

}  // namespace synfin::netsim
