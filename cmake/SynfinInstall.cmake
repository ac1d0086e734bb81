# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` gives: libraries with their CMake package and pkg-config file, headers, the tool, man pages.
#   synfin::core    the protocol alone; needs libsodium
#   synfin::synfin  links, runtime, sockets and views on top of it; needs Boost headers, fmt and nlohmann/json as well

include(CMakePackageConfigHelpers)

set(synfin_targets synfin_core)
add_library(synfin::core ALIAS synfin_core)
set_target_properties(synfin_core PROPERTIES EXPORT_NAME core POSITION_INDEPENDENT_CODE ON)
if(SYNFIN_TOOLS)
  list(APPEND synfin_targets synfin_net)
  add_library(synfin::synfin ALIAS synfin_net)
  set_target_properties(synfin_net PROPERTIES EXPORT_NAME synfin POSITION_INDEPENDENT_CODE ON)
endif()

# A project that takes Synfin in as a subdirectory installs what it wants itself.
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

set(synfin_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/synfin)
install(TARGETS ${synfin_targets} EXPORT synfinTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT synfinTargets NAMESPACE synfin:: DESTINATION ${synfin_package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/synfinConfig.cmake.in ${PROJECT_BINARY_DIR}/synfinConfig.cmake
                              INSTALL_DESTINATION ${synfin_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/synfinConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/synfinConfig.cmake ${PROJECT_BINARY_DIR}/synfinConfigVersion.cmake
        DESTINATION ${synfin_package_dir})

set(synfin_rooms base wire trace tcp stack)
if(SYNFIN_TOOLS)
  list(APPEND synfin_rooms link runtime socket view sim)
  if(SYNFIN_APPS)
    install(TARGETS synfin RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
  endif()
  set(synfin_pc_requires "libsodium fmt")
  set(synfin_pc_libs "-lsynfin_net -lsynfin_core -pthread")
else()
  set(synfin_pc_requires "libsodium")
  set(synfin_pc_libs "-lsynfin_core")
endif()
foreach(room ${synfin_rooms})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/synfin/${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/synfin
          FILES_MATCHING PATTERN "*.h" PATTERN "*.def" REGEX "/[^/]*test[^/]*[.]h$" EXCLUDE)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The prefix is found from where the file lies, so that a staged or moved tree works.
file(RELATIVE_PATH synfin_pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/synfin.pc.in ${PROJECT_BINARY_DIR}/synfin.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/synfin.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
