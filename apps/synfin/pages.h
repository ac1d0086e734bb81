// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "synfin/socket/socket.h"

namespace synfin::app {

/// The page of `synfin serve` without a directory: what has just happened on the connection that asks for it.
std::string built_in_page(const tcp::socket& socket);

}  // namespace synfin::app
