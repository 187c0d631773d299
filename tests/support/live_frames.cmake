# SPDX-License-Identifier: Apache-2.0
# Library live_frames (tests/support/live_frames.hpp) and program live_frames_sender: packets by the million.
set(LIVE_DIR ${CMAKE_CURRENT_BINARY_DIR}/live)
file(MAKE_DIRECTORY ${LIVE_DIR})
add_custom_command(
  OUTPUT ${LIVE_DIR}/live_frames.skel.h
  COMMAND ${CLANG} ${BPF_FLAGS} -c ${CMAKE_CURRENT_LIST_DIR}/live_frames.bpf.c -o ${LIVE_DIR}/live_frames.bpf.o
  COMMAND ${BPFTOOL} gen skeleton ${LIVE_DIR}/live_frames.bpf.o name live_frames_bpf > ${LIVE_DIR}/live_frames.skel.h
  DEPENDS ${CMAKE_CURRENT_LIST_DIR}/live_frames.bpf.c ${CMAKE_CURRENT_LIST_DIR}/live_traffic.h
  COMMENT "Building the generator of live frames"
  VERBATIM)
add_library(live_frames STATIC ${CMAKE_CURRENT_LIST_DIR}/live_frames.cpp ${LIVE_DIR}/live_frames.skel.h)
target_include_directories(live_frames PUBLIC ${CMAKE_CURRENT_LIST_DIR} ${PROJECT_SOURCE_DIR}/user)
target_include_directories(live_frames SYSTEM PRIVATE ${LIVE_DIR})
target_link_libraries(live_frames PUBLIC PkgConfig::LIBBPF)

add_executable(live_frames_sender ${CMAKE_CURRENT_LIST_DIR}/live_frames_main.cpp)
target_link_libraries(live_frames_sender PRIVATE live_frames CLI11::CLI11 nlohmann_json::nlohmann_json)
