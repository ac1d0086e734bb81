// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "runner.h"

namespace synfin::bench {

/// One object a result, with the fields that the README of this room lists.
Json to_json(const std::vector<Result>& results);

/// The same for people: a row a result, what else was found out indented below.
std::string to_table(const std::vector<Result>& results);

}  // namespace synfin::bench
