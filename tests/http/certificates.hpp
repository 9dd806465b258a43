// A certificate authority for tests.
#pragma once

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace http_test {

/// PEM files of a certificate and its key.
struct identity {
    std::string chain_file;
    std::string key_file;
};

/// Issues certificates, as files that begin with a path.
class certificate_authority {
public:
    /// @param prefix Of the names of its files, such as "/tmp/folder/ca".
    explicit certificate_authority(std::string prefix)
        : prefix_(std::move(prefix)), key_(new_key()),
          certificate_(new_certificate("test CA", *key_))
    {
        X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
        extend(*certificate_, NID_basic_constraints, "critical,CA:TRUE");
        extend(*certificate_, NID_key_usage, "critical,keyCertSign");
        sign(*certificate_);
        write_certificate(file(), *certificate_);
    }

    std::string file() const { return prefix_ + ".pem"; }

    /// @param names "DNS:pay.example,IP:127.0.0.1"
    /// @param days Until the certificate expires, from now; -1: it expired yesterday.
    identity issue(const std::string& names, int days = 1)
    {
        const auto key = new_key();
        const auto certificate = new_certificate("server", *key);
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -10L * 24 * 3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), days * 24L * 3600);
        X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate_.get()));
        extend(*certificate, NID_subject_alt_name, names.c_str());
        sign(*certificate);

        const auto base = prefix_ + "-" + std::to_string(++issued_);
        identity made{base + ".pem", base + ".key"};
        write_certificate(made.chain_file, *certificate);
        const auto out = open(made.key_file);
        check(PEM_write_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr));
        return made;
    }

private:
    struct release {
        void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
        void operator()(X509* certificate) const noexcept { X509_free(certificate); }
        void operator()(X509_EXTENSION* extension) const noexcept
        {
            X509_EXTENSION_free(extension);
        }
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };
    template <class T>
    using owned = std::unique_ptr<T, release>;

    static void check(bool good)
    {
        if (!good)
            throw std::runtime_error("OpenSSL cannot make a certificate");
    }

    static owned<std::FILE> open(const std::string& file)
    {
        owned<std::FILE> out{std::fopen(file.c_str(), "w")};
        check(out != nullptr);
        return out;
    }

    static void write_certificate(const std::string& file, X509& certificate)
    {
        const auto out = open(file);
        check(PEM_write_X509(out.get(), &certificate));
    }

    static owned<EVP_PKEY> new_key()
    {
        owned<EVP_PKEY> key{EVP_EC_gen("P-256")};
        check(key != nullptr);
        return key;
    }

    static owned<X509> new_certificate(const char* name, EVP_PKEY& key)
    {
        static long serial = 0;
        owned<X509> made{X509_new()};
        X509_set_version(made.get(), 2);
        ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
        X509_gmtime_adj(X509_getm_notBefore(made.get()), -10L * 24 * 3600);
        X509_gmtime_adj(X509_getm_notAfter(made.get()), 10L * 24 * 3600);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
        check(X509_set_pubkey(made.get(), &key));
        return made;
    }

    static void extend(X509& certificate, int nid, const char* value)
    {
        const owned<X509_EXTENSION> extension{X509V3_EXT_conf_nid(nullptr, nullptr, nid, value)};
        check(extension && X509_add_ext(&certificate, extension.get(), -1));
    }

    void sign(X509& certificate) { check(X509_sign(&certificate, key_.get(), EVP_sha256()) > 0); }

    std::string prefix_;
    owned<EVP_PKEY> key_;
    owned<X509> certificate_;
    int issued_ = 0;
};

} // namespace http_test
