"""The recipe of Pawl for Conan 2: `conan create src/package/conan` builds the repository that contains it."""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy

# The options of the recipe, PAWL_NAME in CMake, with what each needs. Parts that need others are checked in validate().
PARTS = {
    "sqlite": "sqlite3/[>=3.37 <4]",
    "postgres": "libpq/[>=14 <18]",
    "http": "openssl/[>=1.1.1 <4]",
    "admin": None,
    "otlp": None,
    "cli": "cli11/[>=2 <3]",
    "prometheus": "prometheus-cpp/[>=1 <2]",
    "nats": "cnats/[>=3 <4]",
    "testing": None,
}


class PawlConan(ConanFile):
    name = "pawl"
    version = "0.1.0"
    description = "Durable, typed workflows on Boost.Asio"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], **{part: [True, False] for part in PARTS}}
    default_options = {
        "shared": False,
        "sqlite": True,
        "postgres": False,
        "http": False,
        "admin": False,
        "otlp": False,
        "cli": False,
        "prometheus": False,
        "nats": False,
        "testing": True,
    }

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..", "..")
        for pattern in ("CMakeLists.txt", "include/*", "src/*"):
            copy(self, pattern, src=root, dst=self.export_sources_folder, excludes="*/node_modules/*")

    def requirements(self):
        self.requires("boost/[>=1.81 <1.93]", transitive_headers=True)
        self.requires("fmt/[>=9]")
        self.requires("abseil/[>=20220623]")
        for part, dependency in PARTS.items():
            if dependency and self.options.get_safe(part):
                self.requires(dependency)

    def validate(self):
        check_min_cppstd(self, 20)
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("Pawl runs on Linux")
        for part in ("admin", "otlp"):
            if self.options.get_safe(part) and not self.options.http:
                raise ConanInvalidConfiguration(f"the option {part} needs the option http")
        if self.options.cli and not self.options.admin:
            raise ConanInvalidConfiguration("the option cli needs the option admin")

    def layout(self):
        cmake_layout(self)

    def generate(self):
        toolchain = CMakeToolchain(self)
        for part in PARTS:
            toolchain.variables[f"PAWL_{part.upper()}"] = bool(self.options.get_safe(part))
        for part in ("BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_BENCH"):
            toolchain.variables[f"PAWL_{part}"] = False
        toolchain.variables["PAWL_INSTALL"] = True
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()

    def package_info(self):
        # Programs use the CMake package that Pawl installs.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = [os.path.join("lib", "cmake", "pawl")]
