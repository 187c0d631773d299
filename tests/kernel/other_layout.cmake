# SPDX-License-Identifier: Apache-2.0
# The BPF object as another version of the agent would have it, for tests/kernel/agent_maps_test.cpp, and that agent,
# for tests/net/test_upgrade.py.
set(OTHER_DIR ${CMAKE_CURRENT_BINARY_DIR}/other)
find_program(SED sed REQUIRED)
set(OTHER_HEADERS ${OTHER_DIR}/include/tcpwin/base.h ${OTHER_DIR}/include/tcpwin/counters.h
                  ${OTHER_DIR}/include/tcpwin/flow_types.h ${OTHER_DIR}/include/tcpwin/messages.h
                  ${OTHER_DIR}/include/tcpwin/types.h)
add_custom_command(
  OUTPUT ${OTHER_DIR}/tcpwin.bpf.o ${OTHER_DIR}/tcpwin.skel.h
  COMMAND ${CMAKE_COMMAND} -E copy_directory ${PROJECT_SOURCE_DIR}/include ${OTHER_DIR}/include
  COMMAND ${SED} -i -f ${CMAKE_CURRENT_LIST_DIR}/other_layout.sed ${OTHER_HEADERS}
  COMMAND ${CLANG} -I${OTHER_DIR}/include ${BPF_FLAGS} -c ${PROJECT_SOURCE_DIR}/bpf/tcpwin.bpf.c
          -o ${OTHER_DIR}/tcpwin.bpf.o
  COMMAND ${BPFTOOL} gen skeleton ${OTHER_DIR}/tcpwin.bpf.o name tcpwin_bpf > ${OTHER_DIR}/tcpwin.skel.h
  DEPENDS ${BPF_SOURCES} ${CMAKE_CURRENT_LIST_DIR}/other_layout.sed
  COMMENT "Building the BPF object in another layout"
  VERBATIM)
add_custom_target(other_object DEPENDS ${OTHER_DIR}/tcpwin.bpf.o ${OTHER_DIR}/tcpwin.skel.h)
add_dependencies(kernel_tests other_object)
target_compile_definitions(kernel_tests PRIVATE TCPWIN_OTHER_OBJECT="${OTHER_DIR}/tcpwin.bpf.o")

# Everything is compiled again over the other types; speed does not matter.
add_executable(other_agent ${LIB_SOURCES} ${PROJECT_SOURCE_DIR}/user/main.cpp)
add_dependencies(other_agent other_object skeleton)
target_include_directories(other_agent PRIVATE ${OTHER_DIR}/include ${PROJECT_SOURCE_DIR}/user)
target_include_directories(other_agent SYSTEM PRIVATE ${OTHER_DIR} ${BPF_DIR}) # the other object's skeleton comes first
target_compile_options(other_agent PRIVATE -O0 -g0 -Wno-error)
get_target_property(TCPWIN_DEFINITIONS tcpwin COMPILE_DEFINITIONS)
get_target_property(TCPWIN_LIBRARIES tcpwin LINK_LIBRARIES)
target_compile_definitions(other_agent PRIVATE ${TCPWIN_DEFINITIONS})
target_include_directories(other_agent SYSTEM PRIVATE ${EXPECTED_INCLUDE_DIR})
target_link_libraries(other_agent PRIVATE ${TCPWIN_LIBRARIES})
target_precompile_headers(other_agent PRIVATE <algorithm> <chrono> <functional> <map> <memory> <optional> <ranges> <span>
                          <string> <vector> <fmt/format.h> <tl/expected.hpp>)
