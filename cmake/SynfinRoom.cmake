# SPDX-License-Identifier: Apache-2.0
#
# Rooms: each folder below synfin/ lists its sources and tests in its own CMakeLists.txt with
#   synfin_room(SOURCES a.cpp … TESTS a_test.cpp …)
# and several rooms make a library.

set(SYNFIN_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast
                    -Wno-missing-field-initializers -Werror=switch -Werror=return-type)

function(synfin_compile_options target)
  target_compile_options(${target} PRIVATE ${SYNFIN_WARNINGS})
  if(SYNFIN_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${SYNFIN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                           -fno-sanitize=vptr) # the core has no run-time types to look at
    target_link_options(${target} PRIVATE -fsanitize=${SYNFIN_SANITIZE})
  endif()
endfunction()

# Several files in one translation unit: headers and templates that all of them read are compiled once. What ships is
# never built that way.
function(synfin_unity target batch)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${batch}
    UNITY_BUILD_CODE_BEFORE_INCLUDE "// NOLINTNEXTLINE(bugprone-suspicious-include)")
endfunction()

# The objects hold machine code as well, so whoever links without (-fno-lto, another compiler) finds what he needs. Here
# that is every program but those that set SYNFIN_ACROSS_FILES: linking takes ten seconds with it.
function(synfin_across_files target)
  target_compile_options(${target} PRIVATE -flto -ffat-lto-objects)
  set(linked_with $<IF:$<BOOL:$<TARGET_PROPERTY:SYNFIN_ACROSS_FILES>>,-flto=auto,-fno-lto>)
  target_link_options(${target} INTERFACE $<BUILD_INTERFACE:${linked_with}>)
endfunction()

# What is compiled more often than it runs: tests and what they alone stand on.
function(synfin_compile_quickly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1 -g1>)
  if(SYNFIN_SANITIZE)
    # Nothing of it is optimised away from under the sanitizers; the libraries are optimised.
    target_compile_options(${target} PRIVATE -O0)
  endif()
  if(SYNFIN_UNITY_TESTS)
    synfin_unity(${target} 12)
  endif()
endfunction()

# Called by a room; its lists reach synfin_library through global properties.
function(synfin_room)
  cmake_parse_arguments(ROOM "" "" "SOURCES;TESTS" ${ARGN})
  list(TRANSFORM ROOM_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  list(TRANSFORM ROOM_TESTS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  get_filename_component(room ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  set_property(GLOBAL PROPERTY synfin_sources_${room} ${ROOM_SOURCES})
  set_property(GLOBAL PROPERTY synfin_tests_${room} ${ROOM_TESTS})
endfunction()

# One test program a room: NAME_test.
function(synfin_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  synfin_compile_options(${name})
  synfin_compile_quickly(${name})
  if(NOT SYNFIN_UNITY_TESTS)
    # What nearly all of them read, compiled once.
    target_precompile_headers(${name} PRIVATE <gtest/gtest.h> <array> <cstdint> <functional> <map> <memory> <optional> <string> <vector>)
  endif()
  target_link_libraries(${name} PRIVATE ${TEST_LINK} GTest::gtest_main GTest::gmock)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST)
endfunction()

function(synfin_library target)
  cmake_parse_arguments(LIB "CORE" "" "ROOMS;LINK" ${ARGN})
  add_library(${target} STATIC)
  foreach(room ${LIB_ROOMS})
    # Not below build/…/synfin: the tool has that name.
    add_subdirectory(synfin/${room} ${PROJECT_BINARY_DIR}/rooms/${room})
    get_property(sources GLOBAL PROPERTY synfin_sources_${room})
    target_sources(${target} PRIVATE ${sources})
  endforeach()
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} PUBLIC cxx_std_23)
  target_link_libraries(${target} PUBLIC ${LIB_LINK})
  synfin_compile_options(${target})
  if(SYNFIN_UNITY_LIBRARIES)
    synfin_unity(${target} 8)
  endif()
  if(LIB_CORE)
    # Nobody replaces a function of the core at run time, so calls within a file may be inlined although it is
    # position-independent.
    target_compile_options(${target} PRIVATE -fno-exceptions -fno-rtti -fno-semantic-interposition)
    if(SYNFIN_LTO AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      synfin_across_files(${target})
    endif()
  endif()
  if(SYNFIN_TESTS)
    foreach(room ${LIB_ROOMS})
      get_property(tests GLOBAL PROPERTY synfin_tests_${room})
      if(tests)
        synfin_test(${room}_test SOURCES ${tests} LINK ${target})
        if(LIB_CORE AND SYNFIN_SANITIZE)
          # These run long over templates of the core's headers.
          target_compile_options(${room}_test PRIVATE -O1)
        endif()
      endif()
    endforeach()
  endif()
endfunction()
